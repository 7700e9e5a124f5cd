"""Training in turns: each turn moves its own network alone, its loss is its formula, and the controls leave one out."""

import math
from itertools import product
from pathlib import Path

import pandas
import pytest
import torch
import turns as measured
from safetensors.torch import load_file
from test_ablation import SOURCE, rows
from test_adaptation import Offset, store  # noqa: F401, the fixture of prepared clips
from torch import nn

from arsr import manifest
from arsr.commands.training import Adapt
from arsr.data import snippets as prepared
from arsr.studies import turns
from arsr_core.errors import InputError

GREY = 102


class Seer(nn.Module):
    """A recogniser of two classes: its one feature is k times the mean, which is the score of class 0."""

    def __init__(self, k=4.0):
        super().__init__()
        self.k = nn.Parameter(torch.tensor(k))

    def normalise(self, x):
        return x.flatten(0, 1)

    def backbone(self, x):
        return self.k * x.mean((1, 2, 3))[:, None]

    def forward(self, x):
        mean = self.backbone(self.normalise(x)).unflatten(0, x.shape[:2]).mean(1)
        return torch.cat([mean, torch.zeros_like(mean)], 1)


def batch():
    return {"rgb": torch.full((2, 1, 120, 160, 3), GREY, dtype=torch.uint8), "label": torch.tensor([0, 0])}


def test_the_network_s_turn_is_pixels_and_features_and_leaves_the_recogniser():
    b, k, weight = 0.1, 4.0, 0.5
    network, judge = Offset(b), Seer(k)
    loss, terms = turns.showing(batch(), {"network": network}, judge=judge, weight=weight, crop=112)
    loss.backward()
    assert {key: value.item() for key, value in terms.items()} == pytest.approx(
        {"pixel": b, "features": k * b}, rel=1e-4
    )
    assert loss.item() == pytest.approx(b + weight * k * b, rel=1e-4)
    assert float(network.value.grad) == pytest.approx(1 + weight * k, rel=1e-4)
    assert judge.k.grad is None and not judge.training
    control, _ = turns.showing(batch(), {"network": network}, judge=judge, weight=0.0, crop=112)
    assert control.item() == pytest.approx(b, rel=1e-4)


def test_the_recogniser_s_turn_is_the_mean_of_three_and_leaves_the_network():
    b, k = 0.2, 4.0
    network, judge = Offset(b), Seer(k)
    judge.requires_grad_(False)  # as the other turn left it
    how = dict(judge=judge, trained=[judge.k], crop=112)
    loss, terms = turns.seeing(batch(), {"network": network}, **how)
    loss.backward()
    hr, sr = (math.log1p(math.exp(-k * mean)) for mean in (GREY / 255, GREY / 255 + b))
    assert terms["entropy hr"].item() == pytest.approx(hr, rel=1e-4)
    assert terms["entropy sr"].item() == pytest.approx(sr, rel=1e-3)
    assert sr <= terms["entropy mix"].item() <= hr
    assert loss.item() == pytest.approx(sum(terms.values()).item() / 3, rel=1e-6)
    assert judge.k.grad is not None and network.value.grad is None and judge.training


def test_a_mix_has_whole_patches_of_either_and_the_same_in_all_frames_of_a_clip():
    torch.manual_seed(3)
    mix = turns.mixed(torch.zeros(8, 2, 3, 112, 112), torch.ones(8, 2, 3, 112, 112))
    patches = mix.unflatten(-1, (4, 28)).unflatten(-3, (4, 28))  # (N, S, 3, 4, 28, 4, 28)
    assert (patches.amax((-1, -3)) == patches.amin((-1, -3))).all()
    assert torch.equal(mix[:, 0], mix[:, 1]) and 0.3 < float(mix.mean()) < 0.7
    assert len({tuple(clip[0, 0].flatten().tolist()) for clip in mix}) > 1


@pytest.mark.parametrize(("weight", "learns"), [(1.0, True), (0.0, True), (1.0, False)])
def test_training_in_turns_moves_what_it_should(store, tmp_path, root, weight, learns):  # noqa: F811
    data = prepared.Snippets(store, "rgb", segments=2)
    start, judge = (manifest.find(root / "weights", name) for name in ("srresnet-lite", "tsn-rgb-lite"))
    how = dict(weight=weight, recogniser_learns=learns, steps=1, batch=2, progress=False)
    network, recogniser, curve = turns.fit_in_turns("srgan", start, judge, data, tmp_path, **how)
    before, after = (load_file(path) for path in (judge, recogniser))
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before) == learns
    assert any(
        not torch.equal(x, y) for x, y in zip(load_file(start).values(), load_file(network).values(), strict=True)
    )
    assert {"pixel", "features"} <= {*curve} and ("entropy mix" in curve) == learns


def test_adapt_trains_in_turns_as_a_user_types_it(store, tmp_path, root, capsys):  # noqa: F811
    start, judge, flow = (root / f"weights/{name}-lite.safetensors" for name in ("srresnet", "tsn-rgb", "tsn-flow"))
    words = dict(hr=Path(store), start=start, recogniser=judge, steps=1, batch=2)
    Adapt("turns", tmp_path / "both", **words)()
    Adapt("turns", tmp_path / "still", still=True, **words)()
    shown = capsys.readouterr().out.split()
    assert shown == [str(tmp_path / arm / file) for arm in ("both", "still")
                     for file in ("weights.safetensors", "recogniser.safetensors")]  # fmt: skip
    seen = {arm: load_file(tmp_path / arm / "recogniser.safetensors") for arm in ("both", "still")}
    before = load_file(judge)
    assert any(not torch.equal(x, before[name]) for name, x in seen["both"].items())
    assert all(torch.equal(x, before[name]) for name, x in seen["still"].items())
    with pytest.raises(InputError, match="expected the spatial stream of a TSN"):
        Adapt("turns", tmp_path / "flow", **words | {"recogniser": flow})()
    with pytest.raises(InputError, match="--still is for turns"):
        Adapt("end-to-end", tmp_path / "no", still=True, **words)()


def test_gains_are_over_the_control_of_the_same_seed_and_own_is_what_the_recogniser_became():
    def trainings(*right):
        return [rows("srgan", [i < n for i in range(8)]) for n in right]

    frames = {
        "original": {"control": trainings(4, 5, 4), "both": trainings(5, 5, 4)},
        "own": {"control": trainings(4, 5, 4), "both": trainings(7, 8, 7)},
    }
    found = {r.key: r for r in turns.recorded(frames, "k", SOURCE)}
    assert found["k.both.own.to_control.accuracy"].value == pytest.approx(100 * 3 / 8)
    assert found["k.both.original.to_control.accuracy"].value == pytest.approx(100 * 1 / 3 / 8)
    assert found["k.both.on.own"].count == 7 and "k.control.own.to_control.accuracy" not in found


def test_rows_by_judge_and_arm_give_every_record_and_the_control_keeps_the_original():
    learnt = {name for name, (_, learns) in turns.ARMS.items() if learns}
    parts = [rows(method, [True] * 8).assign(network=f"{judge}-references") for judge in ("original", "unseen")
             for method in ("hr", "bicubic")]  # fmt: skip
    for judge, arm, seed in product(("original", "unseen", "own"), turns.ARMS, range(3)):
        if judge != "own" or arm in learnt:
            right = 4 + seed % 2 + 2 * (judge == "own")
            parts.append(rows("srgan", [i < right for i in range(8)]).assign(network=f"{judge}-{arm}-seed{seed}"))
    found = {r.key.removeprefix("embedded.turns.embedded."): r for r in measured.compared(pandas.concat(parts), SOURCE)}
    assert found["hr.on.unseen"].count == 8 and found["both.on.own"].count == 6 and found["control.on.own"].count == 4
    assert found["both.own.to_control.accuracy"].value == pytest.approx(25)
    assert found["features.own.to_control.accuracy"].value == found["both.unseen.to_control.accuracy"].value == 0
    references = measured.compared(pandas.concat(parts[:4]), SOURCE)
    assert [r.key.rpartition("embedded.")[2] for r in references] == [
        f"{method}.on.{judge}" for judge in ("original", "unseen") for method in ("hr", "bicubic")
    ]


def test_the_arms_are_a_factorial():
    assert sorted((weight > 0, learns) for weight, learns in turns.ARMS.values()) == [
        (False, False),
        (False, True),
        (True, False),
        (True, True),
    ]
