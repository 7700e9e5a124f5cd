"""Formulas as data: how the YAML files beside this module say what is drawn, how an action moves, how a part is lit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml

if TYPE_CHECKING:
    from jinja2 import Template

_NUMPY = ("pi", "abs", "arctan2", "array", "clip", "cos", "hypot", "interp", "maximum", "sin", "sqrt")


@cache
def load(name: str) -> dict:
    """The contents of the package's YAML file of that name."""
    return yaml.safe_load(Path(__file__).with_name(f"{name}.yaml").read_text("utf-8"))


def evaluate(formulas: Mapping[str, object], names: Mapping[str, object]) -> dict[str, object]:
    """The values of a block of formulas, worked out in their order by Jinja's sandbox.

    Each may use NumPy's commonest functions, `names` and the formulas before it. Raises jinja2.UndefinedError for
    other names.

    >>> evaluate({"x": "0.5 * a", "place": "(x, sin(pi * x))"}, {"a": 1.0})["place"]
    (0.5, np.float64(1.0))
    """
    known = {name: getattr(np, name) for name in _NUMPY}
    block = _compile(tuple(formulas.items())).make_module({**known, **names})
    return {name: getattr(block, name) for name in formulas}


@cache
def _compile(formulas: tuple[tuple[str, object], ...]) -> Template:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    text = "".join(f"{{% set {name} = {formula} %}}\n" for name, formula in formulas)
    return SandboxedEnvironment(undefined=StrictUndefined).from_string(text)
