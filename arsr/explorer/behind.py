"""Which clips stand behind a record: the study that the explorer shows them in, and the two methods there."""

import re
from collections.abc import Mapping

from arsr.explorer import studies
from arsr.names import SCORES

STREAM = rf"(?P<stream>{'|'.join(SCORES)})"
PLACE = r"(?P<data>[^.]+)\.(?P<network>[^.]+)"
PAIR = r"(?P<a>[^.]+)\.to_(?P<b>[^.]+)\.[\w-]+"
ROWS = (  # a pattern of keys; the study, and the methods a and b there. Of several trainings the first stands for all
    (rf"\w+\.benchmark\.{PLACE}\.{STREAM}\.{PAIR}", "{data}-{network}", "{a}", "{b}"),
    (rf"embedded\.ablation\.{STREAM}\.{PAIR}", "ablation-embedded-tsn-{stream}", "{a}", "{b}"),
    (rf"small\.ablation\.{PLACE}\.{STREAM}\.{PAIR}", "ablation-{data}-{network}", "{a}", "{b}"),
    (rf"\w+\.(?P<kind>joint|published)\.{PLACE}\.{STREAM}\.{PAIR}", "{kind}-{data}-{network}", "{a}", "{b}"),
    (rf"\w+\.frontier\.{PLACE}\.{STREAM}\.(?P<a>[^.]+)\.slope\.[\w-]+", "frontier-{data}-{network}", "{a}-0", "{a}-1"),
    (
        r"\w+\.turns\.(?P<data>[^.]+)\.(?P<a>[^.]+)\.(?P<judge>[^.]+)\.to_(?P<b>[^.]+)\.[\w-]+",
        "turns-{data}-{judge}",
        "{a}-seed0",
        "{b}-seed0",
    ),
    (
        rf"embedded\.retrained\.(?P<data>[^.]+)\.tsn\.{STREAM}\.(?P<shown>lr|hr)\.{PAIR}",
        "retraining-{data}-retrained-{stream}",
        "{shown}@{a}",
        "{shown}@{b}",
    ),
    (
        rf"small\.retrained\.{PLACE}\.{STREAM}\.(?P<shown>lr|hr)\.4\.to_0\.[\w-]+",
        "rivals-{data}-{network}",
        "{shown}@lr",
        "{shown}",
    ),
    (
        r"embedded\.end-to-end\.(?P<data>[^.]+)\.(?P<a>[^.]+)\.own\.to_control\.[\w-]+",
        "retraining-{data}-{a}",
        "{a}",
        "control",
    ),
)
CELL = re.compile(rf"\w+\.(?:benchmark|accuracy)\.{PLACE}\.(?P<method>[^.]+)\.{STREAM}(?:\.class-mean)?")
SHOWN = {"lr": "bicubic", "hr": "hr"}  # to a recogniser


def address(key: str, known: Mapping[str, Mapping]) -> str:
    """Where the clips behind a record's key are; empty: none are known. known: `studies.index`.

    >>> known = {"weizmann-tsn": {"methods": {"hr": ["spatial"], "bicubic": ["spatial"]}}}
    >>> address("small.benchmark.weizmann.tsn.spatial.hr.to_bicubic.accuracy", known)
    'clips.html#study=weizmann-tsn&stream=spatial&a=hr&b=bicubic'
    """
    if cell := CELL.fullmatch(key):
        place, study = cell.groupdict(), "{data}-{network}"
        a, b = studies.rival(place["method"]), place["method"]
    else:
        found = ((row, match) for row in ROWS if (match := re.fullmatch(row[0], key)))
        (_, study, a, b), match = next(found, (("",) * 4, None))
        if not match:
            return ""
        place = {"stream": "spatial"} | match.groupdict()  # all turns and end-to-end trainings are of frames
        place["shown"] = SHOWN.get(place.get("shown"))
        a, b = a.format_map(place), b.format_map(place)
    name = study.format_map(place)
    streams = known.get(name, {"methods": {}})["methods"]
    there = all(place["stream"] in streams.get(method, ()) for method in (a, b))
    return studies.address(name, place["stream"], a, b) if there else ""
