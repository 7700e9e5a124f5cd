"""`python -m arsr`, which accelerate and torchrun launch: the same as the command `arsr`."""

from arsr.cli import main

main()
