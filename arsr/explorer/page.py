"""`clips.html`: choose two methods, see which clips turn, look at each; scores and frames lie in the folder `lab`.

The frames of a clip go to the laboratory, which runs networks, flow and recogniser on them in the reader's browser, so
no super-resolved frame is stored. Real clips have no pictures here: their scores alone are shown.
"""

import gzip
import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from string import Template

import numpy as np
from PIL import Image

from arsr import lab as laboratory
from arsr.data import clips as sources
from arsr.explorer import studies, variants
from arsr.explorer.studies import Study
from arsr.lab.page import POSTER, Pictured, literal, scripts, stacked
from arsr.viewer import coding, viewer
from arsr_core import files
from arsr_core.recognition.fusion import WEIGHTS

PICTURED = 360  # clips at most whose frames are stored: about 0.3 MB each
COLUMNS = 20  # of the sheet of small pictures


def pictured(folder: Path, found: Mapping[str, Study], limit: int = PICTURED) -> list[Pictured]:
    """The embedded clips of the studies, their frames coded in `folder`, where they stay for the next time."""
    wanted = sorted({name for s in found.values() if s.dataset == "embedded" for name in s.frame["clip"]})[:limit]
    known = {clip.name: clip for clip in sources.embedded(len(wanted), "test")}
    clips = [known[name] for name in wanted if name in known]

    def made(clip: sources.Clip) -> Pictured:
        kept = Pictured(clip.name, clip.action, *(folder / f"{clip.name}{end}.webp" for end in ("", "-small")))
        if not (kept.file.exists() and kept.poster.exists()):
            frames = clip.read()
            small = Image.fromarray(frames[len(frames) // 2]).resize(POSTER, Image.Resampling.LANCZOS)
            files.write_atomically(kept.poster, coding.encoded(small, **coding.LOSSLESS))
            files.write_atomically(kept.file, stacked(frames))
        return kept

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(made, clips))


def write(
    folder: Path,
    found: Mapping[str, Study],
    shown: Sequence[Pictured] = (),
    weights: Mapping[str, str] | None = None,
    keys: Collection[str] = (),
) -> Path:
    """Write clips.html, the scores and the small pictures; the laboratory writes the frames.

    weights: method: sha256 of those with which the laboratory runs it; keys: of the book's records.
    """
    assets = {f"study-{name}": gzip.compress(studies.packed(study), 9, mtime=0) for name, study in found.items()}
    if shown:
        assets["small"] = gzip.compress(coding.encoded(_sheet(shown), format="WEBP", quality=75), 1, mtime=0)
    methods = dict.fromkeys(method for study in found.values() for method in study.methods)
    index = {
        "assets": {name: scripts(folder / "lab", name, data) for name, data in assets.items()},
        "studies": {
            name: of | _linked(found[name], weights or {}, keys) for name, of in studies.index(found.values()).items()
        },
        "titles": {method: variants.words(method) for method in methods},
        "pictured": [clip.name for clip in shown],
        "columns": COLUMNS,
        "small": POSTER,
        "fusion": WEIGHTS,
    }
    here, lab = Path(__file__).parent, Path(laboratory.__file__).parent
    code = lab / "assets.js", here / "page.js"
    text = Template((here / "page.html").read_text("utf-8")).substitute(
        theme=(lab / "theme.js").read_text("utf-8"),
        css="\n".join(path.read_text("utf-8") for path in (lab / "lab.css", here / "page.css")),
        scripts="\n".join([viewer.JAVASCRIPT, *(path.read_text("utf-8") for path in code)]),
        index=literal(index),
    )
    files.write_atomically(folder / studies.PAGE, text)
    return folder / studies.PAGE


def _sheet(shown: Sequence[Pictured]) -> np.ndarray:
    """The small pictures in rows of COLUMNS: uint8 (H, W, 3)."""
    width, height = POSTER
    rows = -(-len(shown) // COLUMNS)
    sheet = np.zeros((rows * height, COLUMNS * width, 3), np.uint8)
    for i, clip in enumerate(shown):
        y, x = i // COLUMNS * height, i % COLUMNS * width
        sheet[y : y + height, x : x + width] = np.asarray(Image.open(clip.poster).convert("RGB"))
    return sheet


def _linked(study: Study, weights: Mapping[str, str], keys: Collection[str]) -> dict[str, object]:
    """Where a study's methods lead: those that the laboratory runs alike, and the records of its contrasts."""
    where = f".benchmark.{study.dataset}.{study.network}."
    tested = sorted(key for key in keys if where in key and ".to_" in key and key.endswith(".accuracy"))
    own = [key for key in tested if study.name == f"{study.dataset}-{study.network}"]
    prefix = own[0].partition(where)[0] + where.rstrip(".") if own else ""
    return {"laboratory": studies.in_laboratory(study, weights), "records": {"prefix": prefix, "keys": own}}
