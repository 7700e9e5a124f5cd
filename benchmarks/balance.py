"""How a recipe's terms pull at its network: norms of their gradients at the start, on training windows, and angles.

    python benchmarks/balance.py sosr --profile video --data DATA/human_motion_hd --data DATA/sr_train [--steps 20]

Each term by itself, without its weight; `cosine` is that of its gradient with the features'. With the weights of a
recipe the terms should be of like size: the last line says which pixel_weight makes the pixels' gradient --share of
the features'. A discriminator is fresh. Windows are prepared as `arsr train` prepares them.
"""

import argparse
from collections import defaultdict
from pathlib import Path
from statistics import mean

import _common
import torch
import torch.nn.functional as F
from torch.utils.data import default_collate

from arsr.data.pairs import PairSet
from arsr.training import runs, tasks
from arsr.training.recipes import RECIPES, Run
from arsr_core import losses
from arsr_core.errors import InputError
from arsr_core.sr import METHODS


def gradient(loss: torch.Tensor, parameters: list[torch.Tensor]) -> torch.Tensor:
    """Of one term, as one vector."""
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters, retain_graph=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--profile", default="embedded")
    parser.add_argument("--data", type=Path, action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path("_build/train"))
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--steps", type=_common.count, default=20)
    given = parser.parse_args()
    run = Run(given.recipe, given.profile, tuple(given.data), out=given.out, weights=_common.ROOT / "weights")
    recipe = run.settled
    if not getattr(recipe, "feature", 0):
        known = (name for name, of in RECIPES.items() if getattr([*of.values()][0], "feature", 0))
        raise InputError(f"{given.recipe}: expected a recipe with features: {', '.join(known)}")
    features = losses.FeatureLoss()
    task = tasks.sr_task(recipe, start=runs.starts(run), features=features)
    data = PairSet(runs.prepared(run), frames=METHODS[recipe.method].frames, pair=bool(recipe.warp))
    nets = task["model"]
    parameters = list(nets["generator"].parameters())
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[: given.steps * recipe.batch]
    norms, cosines = defaultdict(list), defaultdict(list)
    for places in order.split(recipe.batch):
        batch = default_collate([data[int(i)] for i in places])
        if recipe.warp:
            made, following = nets["generator"](torch.cat((batch["lr0"], batch["lr1"]))).chunk(2)
            hr, pair = batch["hr0"], (made, following, batch["hr0"], batch["hr1"], batch["flow"])
            terms = {"warp": losses.siamese_warp(*pair, weights=recipe.warp).total}
        else:
            made, hr = nets["generator"](batch["lr"]), batch["hr"]
            terms = {name: of(made, hr, batch["flow"]) for name, of in tasks.PIXEL.items()}
        terms["feature"] = features(made, hr)
        if recipe.adversarial:
            judge = nets["discriminator"]
            terms["adversarial"] = tasks.ADVERSARIAL[recipe.gan][0](judge(hr).detach(), judge(made))
        found = {name: gradient(term, parameters) for name, term in terms.items()}
        for name, g in found.items():
            norms[name].append(g.norm().item())
            cosines[name].append(F.cosine_similarity(g, found["feature"], dim=0).item())
    for name, values in norms.items():
        share = mean(values) / mean(norms["feature"])
        print(
            f"{name:16} gradient {mean(values):9.4g}, {share:8.2g} of the features'; cosine {mean(cosines[name]):+.2f}"
        )
    pull = recipe.feature * mean(norms["feature"])
    pixel = "warp" if recipe.warp else recipe.pixel
    print(f"pixel_weight for {given.share:g}: {given.share * pull / mean(norms[pixel]):.3g} ({pixel})")


if __name__ == "__main__":
    _common.run(main)
