"""Two-stream action recognition-oriented video super-resolution (ICCV 2019), as a thin library.

    clip -> LR (degrade) -> SR (sr) -> flow (flow) -> scores (recognition)

Tensors are float in [0, 1], RGB, (N, T, 3, H, W) for clips and (N, 3, H, W) for frames; flow is (N, 2, H, W) in pixels.
`losses` has what trains the networks, `metrics` what measures them; the study and the book are in the package `arsr`.
"""

__version__ = "0.1.0"
