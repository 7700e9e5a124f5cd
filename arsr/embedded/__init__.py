"""The embedded clips: `generated` makes them; what is drawn, and from what, stands in the YAML files."""

from functools import cache
from pathlib import Path

import yaml


@cache
def load(name: str) -> dict:
    """The contents of the package's YAML file of that name."""
    return yaml.safe_load(Path(__file__).with_name(f"{name}.yaml").read_text("utf-8"))
