"""The jobs of a study: which `arsr` commands are left to run, in what order, and which results cannot be had, and why.

>>> graph = build(study, holdings.look(study))
>>> [job.command for job in graph.jobs.values()][0]
('arsr', 'data', 'pairs', ...)
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import NamedTuple

from arsr.names import STREAMS, pair, title
from arsr.reproduce import costs
from arsr.reproduce.costs import Rates, Work
from arsr.reproduce.holdings import RECOGNISERS, Holdings
from arsr.reproduce.study import RECIPE_PROFILES, Study
from arsr.studies import ablation
from arsr.studies.adaptation import SHARES
from arsr.training.recipes import RECIPES, SUFFIXES, RecogniserRecipe, SRRecipe
from arsr.training.runs import PAIRS
from arsr_core.errors import InputError
from arsr_core.recognition import PROTOCOLS

# the stages, in order: what their jobs are, in words
STAGES = {
    "pairs": "training pairs of super-resolution",
    "clips": "training clips of recognisers, with flow",
    "starts": "networks trained for fidelity",
    "networks": "SoSR, ToSR, SRGAN, ESRGAN and the rows of Tables 2 and 3",
    "recognisers": "TSN and ST-ResNet on each data set's HR",
    "figure-8": "TSN retrained on LR and HR, scored on HR, LR and SR",
    "end-to-end": "super-resolution trained through a recogniser, scored with it and another",
    "table-4": "scores of Table 4",
    "tables-2-3": "scores of Tables 2 and 3: rows, controls, seeds",
}
# how much a result tells, 0 the most: what the budget drops first has the largest number
TELLS = ("HR and bicubic", "SoSR, ToSR", "Table 4", "ST-ResNet", "controls", "Figure 8", "end to end", "more seeds")
END_TO_END = ("srgan", "srresnet")  # the method, and the weights that it starts from
WEIGHT = 0.1  # of the cross-entropy
LONGEST = 600  # steps of end-to-end trainings, at most: ours, for the paper says nothing


@dataclass(frozen=True)
class Job:
    """One command and the one file by which it is known to be done."""

    name: str  # STAGE/..., unique
    command: tuple[str, ...]
    makes: Path
    needs: tuple[str, ...] = ()  # names of jobs
    work: Work = field(default_factory=Work)
    parts: int = 1  # steps of a training, clips of all else: what its progress is counted in
    tells: int = 0  # how much, see TELLS; that of a result is handed down to what it needs
    given: tuple[Path, ...] = ()  # files it is made from that no job makes
    clips: str = ""  # a hash of the list of clips it is made from
    batch: int = 0  # samples a step of a training, which its processes share

    @property
    def stage(self) -> str:
        """The first part of its name."""
        return self.name.partition("/")[0]

    def plain(self) -> dict:
        """What the engine knows of it, as JSON holds it."""
        known = dict(name=self.name, command=list(self.command), makes=str(self.makes), needs=list(self.needs))
        return known | dict(given=[*map(str, self.given)], clips=self.clips)


@dataclass(frozen=True)
class Graph:
    """The jobs, each after those that it needs; the results that cannot be had or were dropped, and why."""

    jobs: dict[str, Job]
    lost: dict[str, str] = field(default_factory=dict)  # a result: why

    def above(self, names: Iterable[str]) -> "Graph":
        """The jobs named, and all that they need."""
        kept: set[str] = set()
        todo = [*names]
        while todo:
            if (name := todo.pop()) not in kept:
                kept.add(name)
                todo += self.jobs[name].needs
        return replace(self, jobs={name: job for name, job in self.jobs.items() if name in kept})

    @property
    def results(self) -> list[Job]:
        """The scores, which no other job needs."""
        needed = {name for job in self.jobs.values() for name in job.needs}
        return [job for name, job in self.jobs.items() if name not in needed]


class Made(NamedTuple):
    """A file that is there, or that jobs make."""

    path: Path
    needs: tuple[str, ...] = ()


def build(study: Study, have: Holdings) -> Graph:
    """The graph of a study. Raises InputError for `only` that names nothing, and where nothing is left at all."""
    builder = _Builder(study, have)
    for dataset in study.places:
        if dataset in have.datasets:
            builder.score_all(dataset)
        else:
            what = ("table-4", "tables-2-3", "figure-8", "end-to-end")
            builder.lost |= {f"{stage}/{dataset}, all": have.missing[dataset] for stage in what}
    graph = Graph(builder.jobs, builder.lost)
    if not graph.jobs:
        reasons = "; ".join(dict.fromkeys(graph.lost.values()))
        raise InputError(f"reproduce: nothing can be made. {reasons}")
    if study.only:
        names, lost = [], {}
        for word in study.only:
            known = [name for name in graph.jobs if _asked(name, word)]
            missing = {name: reason for name, reason in graph.lost.items() if _lost(name, word)}
            if not known and not missing:
                raise InputError(f"--only {word}: no such job; stages are {', '.join(STAGES)}")
            names, lost = names + known, lost | missing
        if not names:
            reasons = "; ".join(dict.fromkeys(lost.values()))
            raise InputError(f"--only {' '.join(study.only)}: cannot be had. {reasons}")
        graph = replace(graph.above(names), lost=lost)
    return graph


def _asked(name: str, word: str) -> bool:
    return fnmatchcase(name, word) or name.partition("/")[0] == word or word in name.split("/")


def _lost(name: str, word: str) -> bool:
    """Whether a word means a lost result, or, as 'ucf101-tsn' or 'figure-8/ucf101/spatial-4-hr', what is part of it."""
    name = name.removesuffix(", all")
    parts = [name, name.partition("/")[2]]
    return _asked(name, word) or any(word.startswith((f"{part}-", f"{part}/")) for part in parts)


def within(graph: Graph, rates: Rates, hours: float, done: set[str]) -> Graph:
    """The graph with results, the most telling first, while what is done and what they need takes so long, at worst.

    What is of use only as a whole is taken whole, or not; what is done already stays. Raises InputError where nothing
    fits.
    """

    def cost(g: Graph) -> float:
        return costs.total(rates.hours(graph.jobs[name].work) for name in g.jobs.keys() | done).high

    if cost(graph) <= hours:
        return graph
    wholes: dict[str, list[Job]] = {}
    for job in graph.results:
        wholes.setdefault(_whole(job.name), []).append(job)
    order = sorted(wholes.values(), key=lambda its: (its[0].tells, max(rates.hours(job.work).high for job in its)))
    least = min(cost(graph.above(job.name for job in its)) for its in order)
    names = [job.name for job in graph.results if graph.above([job.name]).jobs.keys() <= done]
    for its in order:  # what does not fit makes room for what does
        if cost(tried := graph.above([*names, *(job.name for job in its)])) <= hours:
            names = [job.name for job in tried.results]
    if not names:
        raise InputError(f"--budget {hours:g}h: too small for any result; the cheapest takes up to {least:,.2g} h")
    dropped = [job for its in order for job in its if job.name not in names]
    reasons = {job.name: f"dropped, to stay within {hours:g} h ({TELLS[job.tells]})" for job in dropped}
    return replace(graph.above(names), lost=graph.lost | reasons)


def _whole(name: str) -> str:
    """What a result is of use with: in Figure 8 all shares of a stream and method, end to end all of a data set."""
    stage, _, rest = name.partition("/")
    if stage == "figure-8":
        return re.sub(r"-\d-", "-", name)
    return f"{stage}/{rest.partition('-')[0]}" if stage == "end-to-end" else name


# How it is put together -------------------------------------------------------------------------------------


class _Builder:
    """Jobs are added when a result needs them; what cannot be had is an InputError, which loses the result."""

    def __init__(self, study: Study, have: Holdings):
        self.study, self.have, self.out = study, have, study.out
        self.jobs: dict[str, Job] = {}
        self.lost: dict[str, str] = {}
        self.of_sr, self.of_recognisers = RECIPE_PROFILES.get(study.profile, ("embedded", "embedded"))
        how = RECIPES["tsn-rgb"][self.of_recognisers]
        self.settings = study.settings | ({"protocol": study.protocol} if study.protocol else {})
        self.protocol = PROTOCOLS[self.settings.get("protocol", how.protocol)]
        self.preset = study.preset or ("fast" if study.profile == "embedded" else "reference")
        self.lite = study.profile != "paper"
        # which GPU is said by CUDA_VISIBLE_DEVICES, to trainings, too
        self.device = ("--device", study.device.partition(":")[0]) if study.device else ()

    def add(self, name: str, *words: object, makes: Path, of: Iterable[Made] = (), **more) -> Made:
        """A job, once, made of files that are there or that jobs make; -> what it makes."""
        if name not in self.jobs:
            of = [*of]
            needs = tuple(dict.fromkeys(need for its in of for need in its.needs))
            given = tuple(dict.fromkeys(its.path for its in of if not its.needs))
            self.jobs[name] = Job(name, ("arsr", *map(str, words)), makes, needs, given=given, **more)
        return Made(makes, (name,))

    # Results ---

    def score_all(self, dataset: str) -> None:
        """Every result on a data set: Table 4, the rows of Tables 2 and 3, Figure 8, end to end."""
        study = self.study
        for network, method in product(RECOGNISERS, study.methods):
            if network == "tsn" and "+" in method and {*pair(method)} <= {*study.methods}:
                continue  # its streams are scored with the single methods
            tells = 3 if network == "st-resnet" else 0 if method in ("hr", "bicubic") else 2
            tells = 1 if method in ("sosr", "tosr") and network == "tsn" else tells
            self.result(f"table-4/{dataset}-{network}/{method}", tells, self.score, dataset, network, method)
        if study.profile == "embedded":
            return
        for stream, network in product(ablation.ROWS, RECOGNISERS):
            for row in ablation.ROWS[stream]:
                for seed in range(study.seeds if row in ablation.key_rows(stream) else 1):
                    if seed or row not in study.methods:
                        name = f"tables-2-3/{dataset}-{network}/{stream}-{ablation.named(row, seed)}"
                        self.result(name, 7 if seed else 4, self.score, dataset, network, row, seed, stream)
        for stream, share in product(STREAMS, SHARES):
            self.result(f"figure-8/{dataset}/{stream}-{share}", 5, self.retrained, dataset, stream, share)
        for own, network in product(("control", *RECOGNISERS), RECOGNISERS):
            self.result(f"end-to-end/{dataset}-{network}/{own}", 6, self.end_to_end, dataset, own, network)

    def result(self, name: str, tells: int, make: Callable[..., Made], *what: object) -> None:
        """A result with all that it needs, or why it cannot be had; then what it would have needed goes, too."""
        before = dict(self.jobs)
        try:
            make(name, tells, *what)
        except InputError as error:
            self.jobs, self.lost[name] = before, str(error)

    def score(
        self, name: str, tells: int, dataset: str, network: str, row: str, seed: int = 0, stream: str = ""
    ) -> Made:
        """Scores of a method, or of a row of Tables 2 and 3 in one stream."""
        method = ablation.method(row) if stream else row
        made = {m: self.network(row if stream else m, seed) for m in pair(method) if m not in ("hr", "bicubic")}
        stems = RECOGNISERS[network]
        if stream and network == "tsn":
            stems = (stems[stream == "temporal"],)
        judges = [self.recogniser(stem, dataset) for stem in stems]
        return self.evaluate(name, tells, dataset, network, method, made, judges, stems)

    def evaluate(self, name, tells, dataset, network, method, made, judges, stems) -> Made:
        """The job `arsr evaluate`."""
        clips, study = self.have.datasets[dataset], self.study
        files = [word for judge in judges for word in ("-r", judge.path)]
        weights = [word for m, its in made.items() for word in ("--weights", f"{m}={its.path}")]
        where = ["--clips", study.clips] if dataset == "embedded" else ["--data", clips.root, "--split", study.split]
        where += ["--splits", study.splits] * bool(study.splits) + ["--present-only"] * study.present_only
        how = ["--protocol", self.protocol.name, "--preset", self.preset, "--network", network, *self.device]
        how += ["--precision", "float32"] * (dataset == "embedded")  # the same on every machine
        makes = self.out / "scores" / f"{name.removeprefix('table-4/')}.parquet"
        kinds = [(self.backbone(stem), _stream(stem)) for stem in stems]
        work = costs.scoring(clips.test, clips.frames, method, kinds, self.protocol, self.lite)
        words = ["evaluate", dataset, makes, *files, "-m", method, *weights, *where, *how, "--cache", self.out / "flow"]
        more = dict(work=work, parts=clips.test, tells=tells, clips=clips.tested)
        return self.add(name, *words, makes=makes, of=(*judges, *made.values()), **more)

    def retrained(self, name: str, tells: int, dataset: str, stream: str, share: int) -> Made:
        """Figure 8: TSN trained on with LR in so many of 4 clips, and its scores on HR, LR and SR."""
        stem = RECOGNISERS["tsn"][stream == "temporal"]
        method = "sosr" if stream == "spatial" else "tosr"
        folder = self.out / "train" / dataset / f"{stem}-lr{share}"
        net, made = self.retraining(stem, dataset, share, folder), {method: self.network(method)}
        for one in ("hr", "bicubic", method):  # a job each
            weights = made if one == method else {}
            last = self.evaluate(f"{name}-{one}", tells, dataset, "tsn", one, weights, [net], (stem,))
        return last

    def retraining(self, stem: str, dataset: str, share: int, folder: Path) -> Made:
        """The weights of Figure 8's recogniser."""
        if self.study.skip_training:
            return self.trained(folder.name, folder)
        start = self.recogniser(stem, dataset)
        hr, lr = self.clips(dataset), self.clips(dataset, "bicubic")
        words = ["--recipe", stem, "--profile", self.of_recognisers, "--hr", hr.path.parent, "--lr", lr.path.parent]
        recipe = replace(self.recipe(stem), steps=self.few(stem))
        words = ["retrained", folder, *words, "--start", start.path, "--share", share, *self.steps(recipe)]
        return self.adapt(f"figure-8/{dataset}/train-{stem}-lr{share}", words, folder, (start, hr, lr), recipe)

    def end_to_end(self, name: str, tells: int, dataset: str, own: str, network: str) -> Made:
        """A network trained through TSN's spatial stream, or ST-ResNet's, or neither; its scores with one of them."""
        stems, method = RECOGNISERS[network][:1], END_TO_END[0]
        net, judges = self.through(dataset, own), [self.recogniser(stem, dataset) for stem in stems]
        return self.evaluate(name, tells, dataset, network, method, {method: net}, judges, stems)

    def through(self, dataset: str, own: str) -> Made:
        """The weights of a network that was trained through a recogniser."""
        folder, weight = self.out / "train" / dataset / f"end-to-end-{own}", 0.0 if own == "control" else WEIGHT
        if self.study.skip_training:
            return self.trained(folder.name, folder)
        stem = "resnet-rgb" if own == "st-resnet" else "tsn-rgb"  # ST-ResNet's spatial stream, before they are coupled
        start, judge, hr = self.network(END_TO_END[1]), self.recogniser(stem, dataset), self.clips(dataset)
        recipe = self.recipe(stem)
        recipe = replace(recipe, steps=min(LONGEST, recipe.steps), batch=min(8, recipe.batch))
        words = ["end-to-end", folder, "--hr", hr.path.parent, "--recogniser", judge.path, "--weight", weight]
        words += ["--method", END_TO_END[0], "--start", start.path, *self.steps(recipe)]
        return self.adapt(f"end-to-end/{dataset}/train-{own}", words, folder, (start, judge, hr), recipe)

    def adapt(self, name: str, words: list, folder: Path, of: Iterable[Made], recipe: RecogniserRecipe) -> Made:
        """The job `arsr adapt`."""
        more = dict(work=costs.training(recipe), parts=recipe.steps, batch=recipe.batch)
        return self.add(name, "adapt", *words, makes=folder / "weights.safetensors", of=of, **more)

    def few(self, stem: str) -> int:
        """Steps of Figure 8's trainings: a third of the recipe's."""
        return max(1, self.recipe(stem).steps // 3)

    def steps(self, recipe: RecogniserRecipe) -> list[object]:
        """The words for a schedule."""
        return ["--steps", recipe.steps, "--batch", recipe.batch, *self.precision()]

    # What they need ---

    def network(self, row: str, seed: int = 0) -> Made:
        """The weights of a super-resolution network: given, or trained."""
        name = ablation.named(row, seed)
        if name in self.have.weights:
            return Made(self.have.weights[name])
        recipe = RECIPES.get(row, {}).get(self.of_sr)
        if not isinstance(recipe, SRRecipe) or self.study.profile == "embedded":
            raise InputError(f"no weights of {name}, and no recipe that trains them")
        folder = self.out / "train" / ablation.named(row + SUFFIXES[self.of_sr], seed)
        if self.study.skip_training:
            return self.trained(name, folder)
        if not self.have.videos:
            raise InputError(f"no weights of {name}; {self.have.missing['videos']}")
        recipe = costs.scaled(recipe, self.settings)
        pairs, start = self.pairs(recipe.patch), self.network(recipe.start) if recipe.start else None
        words = ["--profile", self.of_sr, "--data", pairs.path.parent, *self.schedule(recipe, seed)]
        words += ["--start", start.path] if start else []
        stage, of = ("networks", (pairs, start)) if start else ("starts", (pairs,))
        return self.train(f"{stage}/{name}", row, words, folder, of, recipe)

    def recogniser(self, stem: str, dataset: str) -> Made:
        """The weights of a recogniser for a data set: given, or trained."""
        name = f"{stem}-{dataset}"
        if name in self.have.weights:
            return Made(self.have.weights[name])
        if self.study.profile == "embedded" or self.of_recognisers not in RECIPES[stem]:
            raise InputError(f"no weights of {name}, and no recipe that trains them")
        out = self.out / "train" / dataset
        folder = out / f"{stem}{SUFFIXES[self.of_recognisers]}"
        if self.study.skip_training:
            return self.trained(name, folder)
        recipe, clips, words = self.recipe(stem), self.clips(dataset), ["--profile", self.of_recognisers]
        of = [clips]
        if self.study.profile == "paper" and not recipe.start:
            words += self.imagenet(stem, recipe)
            of += [Made(Path(file))] if (file := self.have.imagenet.get(recipe.backbone)) else []
        for other in recipe.start:  # by the names of files: streams that are trained beside, or what is shipped
            mine = next((s for s in RECIPES if s + SUFFIXES[self.of_recognisers] == other), None)
            if mine:
                made = self.recogniser(mine, dataset)
                of.append(made)
                if not made.needs:
                    raise InputError(f"{name}: its streams have to be trained here; take {made.path.name} away")
        words += ["--data", clips.path.parent, "--out", out, *self.schedule(recipe, 0)]
        return self.train(f"recognisers/{name}", stem, words, folder, of, recipe)

    def train(self, name: str, recipe_name: str, words: list, folder: Path, of: Iterable[Made], recipe) -> Made:
        """The job `arsr train`."""
        words = ["train", recipe_name, *words] + ["--out", folder.parent] * ("--out" not in words)
        if (root := self.study.shipped.parent) != Path("."):
            words += ["--root", root]
        more = dict(work=costs.training(recipe), parts=recipe.steps, batch=recipe.batch)
        return self.add(name, *words, makes=folder / "weights.safetensors", of=of, **more)

    def trained(self, name: str, folder: Path) -> Made:
        """What an earlier run trained; InputError where it did not."""
        if not (path := folder / "weights.safetensors").is_file():
            raise InputError(
                f"no weights of {name} in {self.study.data / 'weights'} or {folder}, and nothing is trained"
            )
        return Made(path)

    def imagenet(self, stem: str, recipe: RecogniserRecipe) -> list[str]:
        """The words for the weights that a recogniser starts from: of its backbone, or Lite0's."""
        if file := self.have.imagenet.get(recipe.backbone):
            return ["--set", f"imagenet={json.dumps(file)}"]
        if stem.startswith("tsn"):  # whose backbone is free
            return ["--set", "backbone=efficientnet_lite0", "--set", "imagenet=true"]
        where = f"{self.study.data / 'weights'} or torchvision's cache"
        raise InputError(f"no ImageNet weights of {title(recipe.backbone)} (resnet50-*.pth) in {where}")

    def recipe(self, stem: str) -> RecogniserRecipe:
        """A recogniser's, with the study's settings."""
        recipe = costs.scaled(RECIPES[stem][self.of_recognisers], self.settings)
        return replace(recipe, backbone=self.backbone(stem), imagenet=False)

    def backbone(self, stem: str) -> str:
        """The backbone that a recogniser has, or will have."""
        if self.study.profile == "embedded":
            return "lite"
        recipe = RECIPES[stem if self.of_recognisers in RECIPES[stem] else "tsn-flow"][self.of_recognisers]
        lite0 = self.study.profile == "paper" and stem.startswith("tsn") and recipe.backbone not in self.have.imagenet
        return "efficientnet_lite0" if lite0 else recipe.backbone

    def schedule(self, recipe: SRRecipe | RecogniserRecipe, seed: int) -> list[object]:
        """The words for the study's own settings, the seed and the precision."""
        changed = {name: value for name, value in self.settings.items() if name in vars(recipe)}
        words = [word for name, value in changed.items() for word in ("--set", f"{name}={json.dumps(value)}")]
        return words + ["--seed", seed] * bool(seed) + self.precision()

    def precision(self) -> list[object]:
        """The words for it."""
        return ["--precision", self.study.precision] if self.study.precision else []

    def pairs(self, patch: int) -> Made:
        """Training pairs with windows of a size."""
        options = PAIRS[self.of_sr]
        if self.study.preset:
            options = options | {"preset": self.study.preset}
        folder, clips = self.out / f"pairs-{patch}", self.have.videos
        words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
        roots = self.study.videos or (clips.root,)
        work = costs.pairs(clips.train, clips.frames, options.get("clip_frames", 120))
        words = ["data", "pairs", folder, *roots, "--patch", patch, *words, *self.device]
        more = dict(work=work, parts=clips.train, clips=clips.trained)
        return self.add(f"pairs/{patch}", *words, makes=folder / "index.json", **more)

    def clips(self, dataset: str, method: str = "hr") -> Made:
        """Training clips of a data set, with flow, as they are or reduced and enlarged again."""
        held, study = self.have.datasets[dataset], self.study
        folder = self.out / f"clips-{dataset}{'' if method == 'hr' else '-lr'}"
        words = ["data", "clips", folder, dataset, "--data", held.root, "--split", study.split, "--method", method]
        words += ["--splits", study.splits] * bool(study.splits) + ["--present-only"] * study.present_only
        words += ["--protocol", self.protocol.name, "--preset", self.preset, *self.device]
        work = costs.snippets(held.train, held.frames, self.protocol)
        more = dict(work=work, parts=held.train, clips=held.trained)
        return self.add(f"clips/{folder.name.removeprefix('clips-')}", *words, makes=folder / "index.json", **more)


def _stream(stem: str) -> str:
    return {"tsn-rgb": "rgb", "resnet-rgb": "rgb", "tsn-flow": "flow", "resnet-flow": "flow"}.get(stem, "both")
