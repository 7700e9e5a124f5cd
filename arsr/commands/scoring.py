"""Scoring: one data set with chosen methods and recognisers, and the paper's largest table as a whole."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import OmitArgPrefixes

from arsr.commands import hint, say, tell, typed
from arsr.evaluation import Evaluation, Study
from arsr.settings import Flag, Many, spelled
from arsr_core.errors import InputError
from arsr_core.recognition import PROTOCOLS

Method = Annotated[Many[tuple[str, ...]], spelled(aliases=["-m"])]


@dataclass(kw_only=True)
class Evaluate:
    """Score test clips with every method, from LR clip to both streams' scores, and print the table of accuracies.

    {fold} in a recogniser's name stands for the actor or sequence that it was not trained on. Several GPUs or machines:
    accelerate launch -m arsr evaluate ...

    Examples:
      arsr evaluate embedded scores.parquet -r rgb.safetensors -r flow.safetensors
      arsr evaluate hmdb51 scores.parquet --data data/hmdb51 -r rgb.pth -r flow.pth -m hr -m bicubic -m vdsr
        --weights vdsr=vdsr.safetensors --cache flow
      arsr evaluate weizmann scores.parquet --data data/weizmann -r 'runs/{fold}/weights.safetensors' --protocol light
    """

    config: OmitArgPrefixes[Evaluation]
    method: Method = ()  # hr, vdsr ..., sosr+tosr (frames, flow); default: hr, bicubic
    weights: Annotated[Many[tuple[str, ...]], spelled(metavar="METHOD=FILE")] = ()  # weights of an SR method
    protocol: Literal[*PROTOCOLS, ""] = ""  # full, light, small, lite; default: lite if embedded, else full

    def __call__(self) -> None:
        if self.config.out.suffix != ".parquet" or self.config.out.is_dir():
            raise InputError(f"{self.config.out}: expected a file to write, OUT.parquet")
        named = dict(pair.partition("=")[::2] for pair in self.weights)
        if not all(named.values()):
            expected = "expected METHOD=FILE, e.g. --weights vdsr=vdsr.safetensors"
            raise InputError(f"--weights {' '.join(self.weights)}: {expected}")
        protocol = PROTOCOLS[self.protocol or ("lite" if self.config.dataset == "embedded" else "full")]
        methods = self.method or self.config.methods
        config = replace(self.config, methods=methods, weights=named, protocol=protocol)
        config.require_source()
        idle = ("root", "splits", "split") if config.dataset == "embedded" else ("clips", "seed")
        if unused := [name for name in idle if getattr(config, name) != getattr(Evaluation, name)]:
            option = unused[0].replace("root", "data")
            raise InputError(f"evaluate {config.dataset}: has no use for --{option}; leave it out")
        if not any("{fold}" in name for name in config.recognisers):
            config.files("")
        hint(f"{config.dataset}: {', '.join(methods)}, seen by {len(config.recognisers)} recognisers, {protocol.name}")
        from arsr import evaluate, processes, scores

        if config.out.exists():
            scores.load(config.out)  # what is no file of scores is said before the work
        frame, _ = scores.load(evaluate.evaluate(config, provenance=evaluate.provenance_of(config, typed())))
        if not processes.this().is_main_process:
            return
        pairs = [name for name in config.methods if "+" in name and {"spatial", "temporal"} <= set(frame["stream"])]
        groups = "group" if any("{fold}" in name for name in config.recognisers) else None
        table = scores.table(frame, pairs=pairs, groups=groups, present_only=config.present_only)
        columns = ["network", "method", "stream", "accuracy", "low", "high", "class_accuracy", "n", "unreadable"]
        tell(table[columns].to_string(index=False, float_format="%.2f"))
        lost = frame[frame["status"] != "ok"].drop_duplicates(["clip", "reason"])
        for reason in lost["reason"][:20]:
            say(f"unreadable: {reason}")
        say(f"{frame['clip'].nunique():,} clips, {lost['clip'].nunique():,} of them unreadable; written: {config.out}")


@dataclass(kw_only=True)
class Reproduce:
    """Reproduce Table 4: print the plan, score every method with every recogniser, make tables and paired tests.

    The folder of --data holds hmdb51/ and ucf101/ (or UCF-101/) with their split files, and weights/ with one file a
    method and recogniser: vdsr.safetensors, esrgan.pth ..., tsn-rgb-hmdb51.pth, tsn-flow-hmdb51.pth,
    st-resnet-hmdb51.safetensors, the same for ucf101. What is missing is named and left out. Flow takes up to 50 GiB
    of disk. The same command goes on where it was interrupted. Several GPUs or machines: accelerate launch -m arsr
    reproduce ... Several cores: OMP_NUM_THREADS=1 torchrun --nproc-per-node 4 -m arsr reproduce --device cpu ...

    Examples:
      arsr reproduce --data DATA --dry-run
      accelerate launch -m arsr reproduce --data DATA
      arsr reproduce --profile embedded --clips 36 --out _build/embedded-study
    """

    study: OmitArgPrefixes[Study]
    stage: Literal["prepare", "scores", "tables", "all"] = "all"  # how far: the plan, the scores, the tables
    dry_run: Flag[bool] = False  # print the plan and stop: the stage prepare
    dataset: Many[tuple[str, ...]] = ()  # hmdb51, ucf101; default: both
    method: Method = ()  # default: Table 4's and C3's
    keep: Flag[bool] = False  # copy records and scores to results/, as measurements
    root: Path = Path(".")  # the project's checkout

    def __call__(self) -> None:
        chosen = {"datasets": self.dataset} if self.dataset else {}
        chosen |= {"methods": self.method} if self.method else {}
        study = replace(self.study, shipped=self.root / "weights", **chosen)
        hint(f"{study.profile}: looking for what there is")
        from arsr import processes, records, reproduce

        if study.profile == "embedded":
            records.require_checkout(self.root, "weights")
        code = records.commit(self.root, "arsr", "arsr_core") if self.keep else None
        found, missing = reproduce.prepare(study)
        data, note = ", ".join(study.datasets), None
        if study.profile == "embedded":
            data, note = "embedded test clips (synthetic)", "lite networks and recognisers, trained on embedded clips"
        source = records.measured("arsr reproduce", typed(), data, code, profile=study.profile, note=note)
        state = processes.this(study.device)
        if state.is_main_process:
            say("timing one clip on this device ...")
            say(reproduce.describe(found, missing, state.num_processes))
        state.wait_for_everyone()
        if self.dry_run or self.stage == "prepare":
            return
        if self.stage != "tables":
            reproduce.score(found, source, say)
        if self.stage == "scores" or not state.is_main_process:
            return
        table, made = reproduce.tables(found, source)
        columns = ["dataset", "network", "method", "stream", "accuracy", "low", "high", "n", "unreadable"]
        tell(table[columns].to_string(index=False, float_format="%.2f"))
        say(f"written: {records.save(made, study.out / 'records.json')}")
        if self.keep:
            say(f"kept: {', '.join(map(str, reproduce.keep(found, made, self.root / 'results')))}")
