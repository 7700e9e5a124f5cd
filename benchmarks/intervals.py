"""How often the intervals of arsr.paired hold the truth, and how often its tests see a difference that is none.

    python benchmarks/intervals.py [--trials 2000] [--keep]

Clips, groups and trainings are drawn at random as the studies have them: independent clips with two rates of
disagreement; clips in groups that are alike (9 actors, 16 people, 20 sequences, 63 scenes), of which many or few
differ; trainings of each arm that differ little or much. `coverage` is the share of 95 % intervals that hold the true
difference, at the one of several that is held least; `error` that of tests with p < 0.05 where there is none, `power`
that with p < 0.05 at a difference of --effect points. Beside them the percentile bootstrap of the first edition.
--keep commits what was simulated: results/intervals.json.
"""

import argparse

import _common
import numpy as np

from arsr import paired
from arsr_core.errors import InputError

CASES = {  # name: clips, share of clips that differ, groups, how alike they are, trainings, how these differ (points)
    "clips-90": (90, 0.03, 0, 0, 1, 0),
    "clips-371": (371, 0.03, 0, 0, 1, 0),
    "clips-371-10": (371, 0.10, 0, 0, 1, 0),
    "clips-864": (864, 0.02, 0, 0, 1, 0),
    "actors-9": (90, 0.10, 9, 0.2, 1, 0),
    "people-16": (95, 0.10, 16, 0.2, 1, 0),
    "sequences-20": (120, 0.10, 20, 0.2, 1, 0),
    "scenes-63": (371, 0.10, 63, 0.2, 1, 0),
    "actors-9-3": (90, 0.03, 9, 0.2, 1, 0),
    "sequences-20-3": (120, 0.03, 20, 0.2, 1, 0),
    "scenes-63-3": (371, 0.03, 63, 0.2, 1, 0),
    "trainings-3": (864, 0.05, 0, 0, 3, 0.5),
    "trainings-5": (864, 0.05, 0, 0, 5, 0.5),
    "trainings-5-scenes": (371, 0.10, 63, 0.2, 5, 0.5),
    "trainings-3-apart": (360, 0.10, 0, 0, 3, 2.0),
}
WORDS = {
    "coverage": ("95 % intervals that hold the true difference, at the worst of several", "%"),
    "error": ("tests with p < 0.05 where there is no difference", "%"),
    "power": ("tests with p < 0.05 where there is one", "%"),
    "width": ("median half-width of the intervals", "points"),
    "bootstrap.coverage": ("95 % intervals of a percentile bootstrap over clips that hold it", "%"),
}


def draw(case: tuple, effect: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
    """Differences (trainings, clips) in -1, 0, 1 with mean `effect`, and the clips' groups.

    Clips of a group, and a clip in several trainings, share their draw with the probability `alike`; a training adds a
    shift of its own.
    """
    clips, differ, count, alike, seeds, apart = case
    groups = rng.integers(0, count, clips) if count else None
    own = rng.random((seeds, clips))
    shared = rng.random(count or clips)[groups if count else np.arange(clips)]
    u = np.where(rng.random((seeds, clips)) < (alike if count else 0.5 * (seeds > 1)), shared, own)
    shift = effect + rng.normal(0, apart / 100, (seeds, 1)) * (seeds > 1)
    up, down = np.clip((differ + shift) / 2, 0, 1), np.clip((differ - shift) / 2, 0, 1)
    return np.where(u < up, 1.0, np.where(u > 1 - down, -1.0, 0.0)), groups


def found(x: np.ndarray, groups: np.ndarray | None) -> paired.Difference:
    """What a study would say of these differences."""
    if len(x) > 1:
        return paired.trainings(x, groups)
    return paired.accuracies(x[0] > 0, x[0] < 0, groups)


def simulate(case: tuple, effect: float, trials: int, rng: np.random.Generator) -> dict[str, float]:
    """The shares of a case in %, and the half-width in points."""
    true = [draw(case, effect, rng) for _ in range(trials)]
    near = {truth: [found(*draw(case, truth, rng)) for _ in range(trials)] for truth in (0.0, effect / 4, effect / 2)}
    null, some = near[0.0], [found(*x) for x in true]
    covered = [np.mean([d.low <= truth <= d.high for d in ds]) for truth, ds in (*near.items(), (effect, some))]
    drawn = []
    for x, _ in true[: trials // 4]:
        mean = x.mean(0)
        resampled = mean[rng.integers(0, len(mean), (999, len(mean)))].mean(1)
        drawn.append(np.quantile(resampled, 0.025) <= effect <= np.quantile(resampled, 0.975))
    return {
        "coverage": 100 * float(min(covered)),
        "error": 100 * float(np.mean([d.p < 0.05 for d in null])),
        "power": 100 * float(np.mean([d.p < 0.05 for d in some])),
        "width": 100 * float(np.median([(d.high - d.low) / 2 for d in some])),
        "bootstrap.coverage": 100 * float(np.mean(drawn)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=_common.count, default=2000)
    parser.add_argument("--effect", type=float, default=2.0, help="points")
    parser.add_argument("--keep", action="store_true", help="write what was simulated to results/")
    given = parser.parse_args()
    if not 0 < abs(given.effect) <= 2 or given.trials < 4:
        raise InputError("expected --effect of up to 2 points, not 0, and --trials from 4")
    note = f"{given.trials} trials a case; a difference of {given.effect:g} points for power"
    source = _common.provenance("Coverage of the paired intervals", "simulated differences", note, keep=given.keep)
    kept = {}
    for name, case in CASES.items():
        kept[name] = simulate(case, given.effect / 100, given.trials, np.random.default_rng(0))
        print(f"{name:20}", ", ".join(f"{key} {value:.1f}" for key, value in kept[name].items()), flush=True)
    if given.keep:
        _common.save(_common.as_records(kept, "coverage", WORDS, str, source), "intervals")


if __name__ == "__main__":
    _common.run(main)
