"""The recipes of recipes.yaml by name and profile, checked."""

from importlib.resources import files

import yaml

from arsr.training.tasks import RecogniserRecipe, SRRecipe

_TABLE = yaml.safe_load((files("arsr.training") / "recipes.yaml").read_text(encoding="utf-8"))
RECIPES: dict[str, dict[str, RecogniserRecipe | SRRecipe]] = {
    name: {p: (RecogniserRecipe if "stream" in fields else SRRecipe)(**fields) for p, fields in profiles.items()}
    for name, profiles in _TABLE.items()
    if not name.startswith(".")
}
