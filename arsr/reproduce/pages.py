"""The plan, the progress and the report of a study: one page, OUT/status.html, and the same as OUT/report.json."""

import html
import json
import time
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from arsr.printing import printable
from arsr.reproduce import costs, engine
from arsr.reproduce.costs import Hours, Rates
from arsr.reproduce.graph import STAGES, Graph, Job
from arsr_core.files import write_atomically

STATES = ("done", "running", "failed", "waiting")
PAPER = "var(--pst-color-background, Canvas)"  # of the book's pages, or any
PLAN, RUNS, MADE = "The plan", "The study, as it runs", "What was made"  # titles of the page
REFRESH = '<meta http-equiv="refresh" content="10">'


def overview(graph: Graph, rates: Rates, done: set[str]) -> list[dict[str, Any]]:
    """The stages in order: jobs, those left, hours of those, bytes that they leave."""
    found = []
    for stage, words in STAGES.items():
        jobs = [job for job in graph.jobs.values() if job.stage == stage]
        if jobs:
            left = [job for job in jobs if job.name not in done]
            hours = costs.total(rates.hours(job.work) for job in left)
            row = dict(stage=stage, what=words, jobs=len(jobs), left=len(left), hours=hours)
            found.append(row | {"disk": sum(job.work.disk for job in left)})
    return found


def described(graph: Graph, rates: Rates, done: set[str], devices: int, free: float) -> str:
    """The plan in words: a table by stage, when it ends on so many devices, what can run at once, what is lost."""
    rows = overview(graph, rates, done)
    lines = [f"{'stage':12} {'jobs':>5} {'left':>5} {'hours of one device':>24} {'disk':>8}"]
    for row in rows:
        lines.append(
            f"{row['stage']:12} {row['jobs']:5} {row['left']:5} {str(row['hours']):>24} {costs.size(row['disk']):>8}"
        )
    hours, disk = costs.total(row["hours"] for row in rows), sum(row["disk"] for row in rows)
    lines.append(
        f"{'all':12} {len(graph.jobs):5} {sum(r['left'] for r in rows):5} {str(hours):>24} {costs.size(disk):>8}"
    )
    low, high = ends(graph, rates, done, devices)
    words = f"on {devices} device{'s' * (devices > 1)} about {Hours(low, high)}"
    lines.append(f"{words}; up to {abreast(graph, done)} jobs can run at once; rates {rates.machine}")
    if disk > free:
        lines.append(f"warning: {costs.size(disk)} will be written, and {costs.size(free)} are free")
    reasons: dict[str, list[str]] = {}
    for name, reason in graph.lost.items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        lines.append(f"lost: {shown}: {reason}")
    return "\n".join(lines)


def ends(graph: Graph, rates: Rates, done: set[str], devices: int) -> Hours:
    """When all is done on so many devices, at best and at worst."""
    left = {name: job for name, job in graph.jobs.items() if name not in done}
    hours = {name: rates.hours(job.work) for name, job in left.items()}
    return Hours(*(costs.wall({n: (hours[n][end], j.needs) for n, j in left.items()}, devices) for end in (0, 1)))


def abreast(graph: Graph, done: set[str]) -> int:
    """The most jobs that no other of them needs: those of one depth."""
    depth: dict[str, int] = {}
    for name, job in graph.jobs.items():
        if name not in done:
            depth[name] = 1 + max((depth.get(need, 0) for need in job.needs), default=0)
    return max(map([*depth.values()].count, depth.values()), default=0)


def picture(graph: Graph, rates: Rates, done: set[str]) -> str:
    """The graph by stages as SVG: a box a stage with its jobs and hours, columns by the longest road to a result."""
    rows = {row["stage"]: row for row in overview(graph, rates, done)}
    of = {name: job.stage for name, job in graph.jobs.items()}
    edges = {(of[need], job.stage) for job in graph.jobs.values() for need in job.needs} - {(s, s) for s in rows}

    @cache
    def road(stage: str) -> int:  # the longest from it to a result
        return 1 + max((road(b) for a, b in edges if a == stage), default=-1)

    edges = {(a, b) for a, b in edges if not any((a, c) in edges and (c, b) in edges for c in rows)}  # no short cuts
    depth = {stage: max(map(road, rows)) - road(stage) for stage in rows}
    columns: dict[int, list[str]] = {}
    for stage in rows:
        columns.setdefault(depth[stage], []).append(stage)
    tall = max(map(len, columns.values()))
    at = {
        stage: (20 + 200 * x, 20 + 80 * (i + (tall - len(column)) / 2))
        for x, column in columns.items()
        for i, stage in enumerate(column)
    }
    width, height = 200 * (max(columns) + 1), 80 * tall + 40
    parts = []
    for (x, y), (to, down) in ((at[a], at[b]) for a, b in sorted(edges)):
        bend = height - 20 if to - x > 200 else None  # round what lies between
        middle = f"{x + 220} {bend} {to - 70} {bend}" if bend else f"{x + 185} {y + 28} {to - 35} {down + 28}"
        curve = f"M{x + 150} {y + 28}C{middle} {to} {down + 28}"
        parts.append(f'<path d="{curve}" opacity="0.45"/>')
    for stage, (x, y) in at.items():
        row = rows[stage]
        said = ((stage, 18, 14), (f"{row['left']} of {row['jobs']} jobs left", 34, 11.5), (row["hours"], 49, 11.5))
        parts.append(f'<rect x="{x}" y="{y}" width="150" height="56" rx="6" fill="{PAPER}"/>')
        for text, down, size in said:
            look = f'font-size="{size}" fill="currentColor" stroke="none"'
            parts.append(f'<text x="{x + 8}" y="{y + down}" {look}>{text}</text>')
    told = "; ".join(f"{row['stage']}: {row['jobs']} jobs" for row in rows.values())
    look = 'fill="none" stroke="currentColor" font-family="system-ui, sans-serif" style="width: 100%; min-width: 44rem"'
    label = f'role="img" aria-label="The graph of the study by stages. {told}"'
    return f'<svg viewBox="0 0 {width} {height}" {look} {label}>{"".join(parts)}</svg>'


def write(out: Path, graph: Graph, rates: Rates, devices: int, title: str = RUNS) -> dict[str, int]:
    """Write the page and, where it is what the study MADE, the report -> how many jobs are in which state."""
    jobs = [job.plain() for job in graph.jobs.values()]
    undone = engine.left(out, jobs)
    rows = [_row(out, job, rates.hours(job.work), job.name not in undone) for job in graph.jobs.values()]
    counts = {state: sum(row["state"] == state for row in rows) for state in STATES}
    done = {row["name"] for row in rows if row["state"] == "done"}
    expected = sum(rates.hours(graph.jobs[name].work).high for name in done)
    taken = sum(row["hours"] for row in rows if row["state"] == "done")
    left = ends(graph, rates, done, devices)
    if taken and expected:  # what was done tells how far the plan is off
        pace = taken / expected
        left = Hours(pace * left.high / 1.5, 1.5 * pace * left.high)
    remains = f"about {left} left on {devices} devices" if counts["waiting"] + counts["running"] else ""
    share = sum(row["share"] for row in rows) / max(1, len(rows))
    words = {
        "refresh": REFRESH if title == RUNS else "",
        "title": title,
        "share": f"{100 * share:.0f}",
        "counts": ", ".join(f"{count} {state}" for state, count in counts.items() if count),
        "left": "" if title == MADE else remains,
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "rates": html.escape(rates.machine),
        "picture": picture(graph, rates, done),
        "stages": "".join(map(_stage, overview(graph, rates, done))),
        "jobs": "".join(map(_line, rows)),
        "lost": "".join(
            f"<tr><td>{_escaped(name)}</td><td>{_escaped(reason)}</td></tr>" for name, reason in graph.lost.items()
        ),
    }
    page = Template((files("arsr.reproduce") / "status.html").read_text(encoding="utf-8")).substitute(words)
    write_atomically(out / "status.html", page)
    if title == MADE:
        report = {"jobs": rows, "lost": graph.lost, "rates": rates.machine, "ended": words["time"]}
        write_atomically(out / "report.json", json.dumps(report, indent=1) + "\n")
    return counts


def _row(out: Path, job: Job, hours: Hours, is_done: bool) -> dict[str, Any]:
    """What is known of a job."""
    known = {"name": job.name, "command": " ".join(job.command), "makes": str(job.makes), "expected": hours}
    if is_done and (done := engine.state(out, job.name, "done")):
        more = {"hours": done["seconds"] / 3600, "sha256": done["sha256"], "machine": done["machine"]}
        return known | {"state": "done", "share": 1.0} | more
    running, failed = (engine.state(out, job.name, kind) for kind in ("running", "failed"))
    state = "running" if running else "failed" if failed else "waiting"
    more = {"machine": running["machine"]} if running else {"reason": failed["reason"]} if failed else {}
    return known | {"state": state, "share": progress(job) if running else 0.0} | more


def progress(job: Job) -> float:
    """How much of a running job is done: clips of a store or of scores, or steps of the last checkpoint."""
    folder = job.makes.parent
    if job.makes.name == "weights.safetensors":
        done = _steps(folder / "checkpoint.pt")
    elif job.makes.name == "index.json":
        done = sum(1 for _ in folder.glob("*.safetensors"))
    else:
        done = sum(1 for _ in job.makes.with_name(f"{job.makes.name}.parts").glob("*.parquet"))
    return min(0.99, done / max(1, job.parts))


def _steps(path: Path) -> int:
    import torch

    try:
        return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["step"])
    except Exception:  # not there yet, or just replaced
        return 0


def _stage(row: Mapping[str, Any]) -> str:
    cells = (row["stage"], row["what"], f"{row['left']} of {row['jobs']}", str(row["hours"]), costs.size(row["disk"]))
    return "<tr>" + "".join(f"<td>{_escaped(cell)}</td>" for cell in cells) + "</tr>"


def _line(row: Mapping[str, Any]) -> str:
    state = row["state"] + (f" {100 * row['share']:.0f} %" if row["state"] == "running" and row["share"] else "")
    said = row.get("reason") or row.get("sha256", "")[:16] or row.get("machine", "")
    took = f"{60 * row['hours']:.1f} min" if "hours" in row else str(row["expected"])
    cells = [
        f'<td title="{_escaped(row["command"])}">{_escaped(row["name"])}</td>',
        f'<td class="{row["state"]}">{state}</td>',
    ]
    cells += [f"<td>{_escaped(took)}</td>", f"<td>{_escaped(said)}</td>"]
    return "<tr>" + "".join(cells) + "</tr>"


def _escaped(text: object) -> str:
    return html.escape(printable(text))
