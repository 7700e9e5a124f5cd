"""A study from its plan to its tables."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from arsr import places, records
from arsr.reproduce import costs, engine, graph, holdings, pages, tables
from arsr.reproduce.graph import Graph, Job
from arsr.reproduce.holdings import Holdings
from arsr.reproduce.study import Study
from arsr_core.devices import device
from arsr_core.errors import InputError

LONGER = 3  # than the worst that is expected: a cluster's limit for a job
LEAST = 30  # minutes of it


def conduct(
    study: Study,
    source: records.Provenance,
    stage: str = "all",
    *,
    keep: Path | None = None,
    say: Callable[[str], None] = print,
    tell: Callable[[str], None] = print,
) -> str:
    """Plan a study and, as the stage says, run its jobs and make its tables -> what failed, in words; "": nothing.

    keep: a folder that gets copies of records and scores. Raises InputError for what `holdings.look` and `graph.build`
    refuse, for processes that do not fit GPUs or batches, and for a folder that another run on this machine works in.
    """
    here, out = device(study.device), study.out
    if here.type == "cuda" and not study.precision:
        study = replace(study, precision="bfloat16")
    have = holdings.look(study)
    built = graph.build(study, have) if stage != "tables" else None
    devices = (machine := _machine(study, built)).devices
    places.claim(out, "study")
    with places.alone(out / "machines" / study.machine):
        if stage == "tables":
            _finish(study, have, source, keep, say, tell)
            return ""
        rates = _rates(study, have, say)
        jobs = [job.plain() for job in built.jobs.values()]
        engine.bury(out, jobs)
        done = built.jobs.keys() - engine.left(out, jobs)
        built = graph.within(built, rates, study.hours, done)
        free = shutil.disk_usage(out).free
        tell("\n".join([*_found(study, have, built), pages.described(built, rates, done, devices, free)]))
        pages.write(out, built, rates, devices, pages.PLAN)
        say(f"the plan: {out / 'status.html'}")
        if stage == "prepare":
            return ""
        failed = _run(study, built, rates, machine, devices, say)
        if not failed:
            shutil.rmtree(out / "flow", ignore_errors=True)  # which nobody looks for now
        try:
            pages.write(out, built, rates, devices, pages.MADE)
            say(f"the report: {out / 'status.html'} and report.json")
            if stage == "all":
                _finish(study, have, source, None if failed else keep, say, tell)
                if failed and keep:
                    say(f"not kept in {keep}: jobs failed, and these are a part of the results")
        except InputError as error:  # where jobs failed they are why there is nothing to report
            if not failed:
                raise
            say(f"no tables: {error}")
    return failed


def _machine(study: Study, built: Graph | None) -> engine.Machine:
    """This machine, or a cluster's, with the GPUs that the study may use."""
    machine = engine.Machine(study.machine, 0, len(os.sched_getaffinity(0)), study.processes, study.engine)
    kind, _, number = (study.device or "").partition(":")
    count = 0 if kind == "cpu" else torch.cuda.device_count()
    if machine.cluster:  # whose GPUs are not seen from here
        machine = replace(machine, gpus=int(kind != "cpu"), visible="" if kind == "cpu" else None)
    else:
        known = (os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))).split(",")[:count]
        known = [known[int(number)]] if number else known
        machine = replace(machine, gpus=len(known), visible=",".join(known))
    if not machine.cluster and 0 < machine.gpus < study.processes:
        raise InputError(f"--processes {study.processes}: a GPU each, and there are {machine.gpus}; give no more")
    for job in built.jobs.values() if built else ():
        if job.batch % study.processes:
            raise InputError(
                f"--processes {study.processes}: {job.name} has {job.batch} samples a step, which do not divide among "
                "them; give another number, or batch, --set batch=N"
            )
    return machine


def _found(study: Study, have: Holdings, built: Graph) -> list[str]:
    """What the plan uses of what is there, and which weights it does not, in words."""
    sets = [f"{name} ({its.test:,} test clips, {its.train:,} to train on)" for name, its in have.datasets.items()]
    sets += [f"{have.videos.train:,} videos"] if have.videos else []
    given = {path: None for job in built.jobs.values() for path in job.given}
    lines = [f"used: {', '.join([*sets, *map(str, given)])}"]
    there = sorted((study.data / "weights").glob("[!.]*")) if study.data else []
    idle = ", ".join(path.name for path in there if path not in given)
    return lines + ([f"not used: {idle} in {there[0].parent}"] if idle else [])


def _rates(study: Study, have: Holdings, say: Callable[[str], None]) -> costs.Rates:
    """Those given, those that such a device of this machine showed before, or what it shows in the next minute."""
    where = device(study.device)
    path = study.out / "machines" / study.machine / f"rates-{where.type}.json"
    if study.rates or path.is_file():
        return costs.load(study.rates or path)
    say("measuring this machine for a minute ...")
    rates = costs.measure(where, next((its.first for its in have.datasets.values()), None))
    rates.save(path)
    return rates


def _run(study: Study, built: Graph, rates: costs.Rates, machine: engine.Machine, devices: int, say) -> str:
    """Let the engine run the jobs, with a line for each that ends -> what failed."""
    seen: dict[str, int] = {}

    def watch() -> None:
        counts = pages.write(study.out, built, rates, devices)
        if counts != seen:
            seen.update(counts)
            say(", ".join(f"{count} {state}" for state, count in counts.items() if count))

    jobs = [
        job.plain() | {"priority": priority, "minutes": max(LEAST, int(60 * LONGER * rates.hours(job.work).high))}
        for job, priority in priorities(built, rates).items()
    ]
    engine.run(study.out, jobs, machine, watch)
    failed = {n: state for n in built.jobs if (state := engine.state(study.out, n, "failed"))}
    left = len(built.jobs) - seen.get("done", 0) - len(failed)
    if not failed:
        return f"{left} jobs were not done; {study.out / 'machines' / machine.name} has the log" if left else ""
    name, state = next(iter(failed.items()))
    more = f", and {len(failed) - 1} others" if len(failed) > 1 else ""
    return f"{name} failed{more}; {left} jobs wait for it: {state['reason'].removeprefix('arsr: ')}"


def priorities(built: Graph, rates: costs.Rates) -> dict[Job, int]:
    """The jobs, and which first: what the most telling results need, of these what the longest road begins with."""
    tells = {
        name: job.tells if job.tells or job.name in {r.name for r in built.results} else 99
        for name, job in built.jobs.items()
    }
    road = {name: rates.hours(job.work).high for name, job in built.jobs.items()}
    for name, job in reversed(built.jobs.items()):
        for need in job.needs:
            tells[need] = min(tells[need], tells[name])
            road[need] = max(road[need], rates.hours(built.jobs[need].work).high + road[name])
    order = sorted(built.jobs, key=lambda name: (-tells[name], road[name]))
    return {built.jobs[name]: 1 + order.index(name) for name in built.jobs}


def _finish(study: Study, have: Holdings, source: records.Provenance, keep: Path | None, say, tell) -> None:
    """Tables and records from all scores that are there."""
    table, made, kept = tables.tables(study, have, source)
    columns = ["dataset", "network", "method", "stream", "accuracy", "low", "high", "n", "unreadable"]
    tell(table[columns].to_string(index=False, float_format="%.2f"))
    say(f"written: {records.save(made, study.out / 'records.json')}")
    if keep:
        say(f"kept: {', '.join(map(str, tables.keep(made, kept, keep)))}")
