"""Scoring: one data set with chosen methods and recognisers, and the paper's largest table as a whole."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import OmitArgPrefixes

from arsr.commands import Set, assignments, hint, say, tell
from arsr.evaluation import Evaluation
from arsr.printing import typed
from arsr.reproduce.study import Study
from arsr.settings import Flag, Many, spelled
from arsr_core.errors import InputError
from arsr_core.recognition import PROTOCOLS

Method = Annotated[Many[tuple[str, ...]], spelled(aliases=["-m"])]


@dataclass(kw_only=True)
class Evaluate:
    """Score test clips with every method, from LR clip to both streams' scores, and print the table of accuracies.

    {fold} in a recogniser's name stands for the group, such as an actor, or the fold of --folds that it was not trained
    on. folder: your own clips, a subfolder for each class. Several GPUs or machines: accelerate launch -m arsr
    evaluate ...

    Examples:
      arsr evaluate embedded scores.parquet -r rgb.safetensors -r flow.safetensors
      arsr evaluate hmdb51 scores.parquet --data data/hmdb51 -r rgb.pth -r flow.pth -m hr -m bicubic -m vdsr
        --weights vdsr=vdsr.safetensors --cache flow
      arsr evaluate weizmann scores.parquet --data data/weizmann -r 'runs/{fold}/weights.safetensors' --protocol light
      arsr evaluate folder scores.parquet --data clips --groups '(s[0-9]+)_' --folds 5 --protocol small
        -r '_build/train/tsn-rgb-small-without-{fold}-of-5/weights.safetensors'
      arsr evaluate folder scores.parquet --data clips --groups groups.csv -r 'runs/{fold}/weights.safetensors'
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
        idle = ("root", "splits", "split", "groups", "folds") if config.dataset == "embedded" else ("clips", "seed")
        if unused := [name for name in idle if getattr(config, name) != getattr(Evaluation, name)]:
            option = unused[0].replace("root", "data")
            raise InputError(f"evaluate {config.dataset}: has no use for --{option}; leave it out")
        if not config.by_fold:
            config.files("")
        hint(f"{config.dataset}: {', '.join(methods)}, seen by {len(config.recognisers)} recognisers, {protocol.name}")
        from arsr import evaluate, processes, scores

        if config.out.exists():
            scores.load(config.out)  # what is no file of scores is said before the work
        frame, _ = scores.load(evaluate.evaluate(config, provenance=evaluate.provenance_of(config, typed("arsr"))))
        if not processes.this().is_main_process:
            return
        pairs = [name for name in config.methods if "+" in name and {"spatial", "temporal"} <= set(frame["stream"])]
        groups = "group" if frame["group"].nunique() < frame["clip"].nunique() else None
        table = scores.table(frame, pairs=pairs, groups=groups, present_only=config.present_only)
        columns = ["network", "method", "stream", "accuracy", "low", "high", "class_accuracy", "n", "unreadable"]
        tell(table[columns].to_string(index=False, float_format="%.2f"))
        lost = frame[frame["status"] != "ok"].drop_duplicates(["clip", "reason"])
        for reason in lost["reason"][:20]:
            say(f"unreadable: {reason}")
        say(f"{frame['clip'].nunique():,} clips, {lost['clip'].nunique():,} of them unreadable; written: {config.out}")


@dataclass(kw_only=True)
class Reproduce:
    """Reproduce the study: plan it, train what is missing, score every method, make the tables.

    The folder of --data holds hmdb51/ and ucf101/ (or UCF-101/) with their split files, videos to train on in CDVL134/,
    and in weights/ what there is: vdsr.safetensors, esrgan.pth ..., tsn-rgb-hmdb51.pth, tsn-flow-hmdb51.pth,
    st-resnet-hmdb51.safetensors, the same for ucf101. What lacks is trained; what cannot be had is named, with the
    results that it costs. Snakemake runs the jobs: on all GPUs of this machine, on those of other machines that run the
    same command in the same folder, or on a cluster, --engine '--executor slurm --jobs 64'. The same command goes on
    where it was interrupted. OUT/status.html shows the plan, the progress and the report.

    Examples:
      arsr reproduce --data DATA --dry-run
      arsr reproduce --data DATA --videos VIDEOS --budget 200h
      arsr reproduce --data DATA --profile small --only table-4
      arsr reproduce --profile embedded --clips 36 --out _build/embedded-study
    """

    study: OmitArgPrefixes[Study]
    stage: Literal["prepare", "scores", "tables", "all"] = "all"  # how far: the plan, the scores; tables: them alone
    dry_run: Flag[bool] = False  # print the plan and stop: the stage prepare
    dataset: Many[tuple[str, ...]] = ()  # hmdb51, ucf101; default: both
    method: Method = ()  # default: Table 4's and C3's
    set_: Set = ()  # another value of a setting, for every recipe that has it
    keep: Flag[bool] = False  # copy records and scores to results/, as measurements
    root: Path = Path(".")  # the project's checkout

    def __call__(self) -> None:
        chosen = {"datasets": self.dataset} if self.dataset else {}
        chosen |= {"methods": self.method} if self.method else {}
        shipped = self.root / "weights"
        study = replace(self.study, shipped=shipped, settings=assignments(self.set_), **chosen)
        hint(f"{study.profile}: looking for what there is")
        from arsr import records
        from arsr.reproduce import conduct

        if study.profile == "embedded":
            records.require_checkout(self.root, "weights")
        code = records.commit(self.root, "arsr", "arsr_core") if self.keep else None
        data, note = ", ".join(study.datasets), None
        if study.profile == "embedded":
            data = "embedded test clips (synthetic)"
            note = "lite networks, trained on real video; lite recognisers, trained on embedded clips"
        elif study.profile == "small":
            note = "small networks"
        source = records.measured("arsr reproduce", typed("arsr"), data, code, profile=study.profile, note=note)
        stage = "prepare" if self.dry_run else self.stage
        keep = self.root / "results" if self.keep else None
        if failed := conduct.conduct(study, source, stage, keep=keep, say=say, tell=tell):
            sys.exit(f"arsr: {failed}")
