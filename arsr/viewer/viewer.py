"""One widget, two outputs: live in JupyterLab, and self-contained HTML for static pages and paper."""

import html
import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from numbers import Real
from pathlib import Path
from string import Template

import anywidget
import matplotlib
import numpy as np
import torch
import traitlets
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import uniform_filter

from arsr.printing import printable
from arsr.viewer import coding
from arsr_core import files, video
from arsr_core.errors import InputError, describe, require, require_range
from arsr_core.flow import wheel

LAYERS = ("frame", "flow", "flow_error", "frame_error", "weight", "exact_flow")
BUDGET = 2_800_000  # bytes of a viewer's HTML: its page stays under 3 MB
STATIC_PIXELS = 10_000_000  # of all frames together; more would not be worth looking at in so few bytes
LONGEST_FLOW = 1000  # pixels; a longer vector is no displacement
FORMS = "give float (T, 3, H, W) or (1, T, 3, H, W) in [0, 1], or uint8 (T, H, W, 3)"
POSTER_WIDTH = 320  # pixels of a frame, about
PEAK_SIDE = 9  # pixels over which an error is averaged before its highest place is sought
PSNR = "PSNR (dB)"
OVERHEAD = 60_000  # bytes of the static HTML that are neither script nor frames nor flow

ASSETS = ("viewer.css", "viewer.js", "figure.html", "page.html")
CSS, JAVASCRIPT, FIGURE, PAGE = (Path(__file__).with_name(name).read_text("utf-8") for name in ASSETS)
SCRIPT = f"const CSS = {json.dumps(CSS)};\n{JAVASCRIPT}"  # classic: module scripts do not load from file://
SCRIPT_TAG = f"<script data-arsr-viewer-script>(() => {{\n{SCRIPT}\ndefineElement();\n}})();</script>"
Array = torch.Tensor | np.ndarray


class _Whole(traitlets.Int):
    """A whole number, whatever its type; no text, and nothing that would be rounded."""

    def validate(self, obj: object, value: object) -> int:
        whole = isinstance(value, Real) and not isinstance(value, bool) and value % 1 == 0
        return super().validate(obj, int(value) if whole else self.error(obj, value))


class _Finite(traitlets.Float):
    """A number that is one."""

    def validate(self, obj: object, value: object) -> float:
        value = super().validate(obj, value)
        return value if math.isfinite(value) else self.error(obj, value)


class Viewer(anywidget.AnyWidget):
    """Any two of several versions of a clip side by side or under a wipe, with their flow, errors and scores.

    clips: {label: clip}, each float (T, 3, H, W) or (1, T, 3, H, W) in [0, 1], or uint8 (T, H, W, 3). Errors are
    measured against "HR" if it is there, else against the first.
    flows: {label: flow}, each float (T - 1, 2, H, W) or (1, T - 1, 2, H, W) in pixels, from t to t + 1.
    scores: {label: {class: score}}, or {label: {stream: {class: score}}}; `action` is the true class.
    exact: the true flow where that is known, in the form of flows: a layer of its own, and the motion weight's flow.
    traces: {title: {label: a value a frame}}, curves beside those of the error and of PSNR, which is in RGB.
    path: {label: number}, versions in a row; a slider, `path_title`, leads along them in the order of the numbers.
    at: the label whose worst artefact the view opens on.
    alt: what the clip shows, in words. budget: bytes of the static HTML; 0: none.

    The view is set and read through traits: `frame`; `left` and `right`, labels; `layer`, one of `layers`; `scale` of
    the layer's colours; `mode`, side or wipe; `trace`, error or the title of another curve; `picked`, a pixel x, y;
    `line` of the temporal profile, x0, y0, x1, y1.
    Raises InputError for clips or flows that do not fit together, are empty or hold NaN, and for unknown labels;
    TraitError for a view that cannot be.

    >>> viewer = Viewer({"HR": hr, "SoSR": sr}, {"HR": flow_hr, "SoSR": flow_sr}, frame=7)
    >>> viewer.picked = 120, 80
    >>> viewer.read()["SoSR"]["epe"]
    """

    _esm = f"{SCRIPT}\nexport default {{ render: renderWidget }};\n"
    spec = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        clips: Mapping[str, Array],
        flows: Mapping[str, Array] | None = None,
        scores: Mapping[str, Mapping[str, float | Mapping[str, float]]] | None = None,
        *,
        action: str | None = None,
        exact: Array | None = None,
        traces: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
        path: Mapping[str, float] | None = None,
        path_title: str = "\N{GREEK SMALL LETTER ALPHA}",
        at: str | None = None,
        alt: str = "",
        budget: int = BUDGET,
        **view: object,
    ):
        self._clips = _checked_clips(clips)
        self.labels = list(self._clips)
        self.reference = "HR" if "HR" in self._clips else self.labels[0]
        self._others = [label for label in self.labels if label != self.reference]
        self._count, self._height, self._width, _ = self._clips[self.reference].shape
        self._flows = _checked_flows(flows or {}, self._clips)
        known = {} if exact is None else {self.reference: exact}
        self._exact = _checked_flows(known, self._clips, "exact flow").get(self.reference)
        self._given = {title: self._checked_trace(title, of) for title, of in (traces or {}).items()}
        self._path = self._checked_path(path or {})
        self._path_title = printable(path_title)
        compares_flow = self.reference in self._flows and len(self._flows) > 1
        self._error = self._flow_error if compares_flow else self._frame_error
        moves = self._exact is not None
        weighs = moves or self.reference in self._flows
        needs = {"flow": self._flows, "flow_error": compares_flow, "weight": weighs, "exact_flow": moves}
        self.layers = [layer for layer in LAYERS if needs.get(layer, True)]
        self._alt, self._budget, action = printable(alt), budget, None if action is None else printable(action)
        if not isinstance(budget, int) or budget < 0:
            raise InputError(f"viewer: expected budget in bytes, from 0, got {budget!r}")
        x, y = (_Whole(min=0, max=side - 1) for side in (self._width, self._height))
        self._view = {
            "frame": _Whole(0, min=0, max=self._count - 1),
            "left": traitlets.Enum(self.labels, self.reference),
            "right": traitlets.Enum(self.labels, [*self._others, self.reference][0]),
            "layer": traitlets.Enum(self.layers, "frame"),
            "scale": _Finite(1.0, min=1 / 1024, max=1024),
            "mode": traitlets.Enum(("side", "wipe"), "side"),
            "trace": traitlets.Enum(("error", PSNR, *self._given), "error"),
            "picked": traitlets.Tuple(x, y, default_value=None, allow_none=True),
            "line": traitlets.Tuple(x, y, x, y, default_value=None, allow_none=True),
        }
        if unknown := sorted(view.keys() - self._view):
            raise InputError(f"viewer: no {', '.join(unknown)}; a view has {', '.join(self._view)}")
        view |= {side: printable(view[side]) for side in ("left", "right") if isinstance(view.get(side), str)}
        self.add_traits(**{name: trait.tag(sync=True) for name, trait in self._view.items()})
        super().__init__(spec=self._live_spec(_by_label("scores", scores or {}, self.labels), action), **view)
        self.on_msg(self._answer)
        if at is not None:
            self.frame, x, y, _ = self.worst(at)
            self.picked = x, y

    def read(self) -> dict[str, dict] | None:
        """What every method holds at the picked pixel, from the arrays themselves; None where nothing is picked.

        {label: {"rgb", "error", "flow", "epe"}}; rgb and error (mean difference to the reference) in levels of 255,
        flow [u, v] and epe in pixels, None where there is no flow.
        """
        if self.picked is None:
            return None
        (x, y), t, found = self.picked, self.frame, {}
        for label in self.labels:
            maps = dict(error=self._frame_error(label, t), flow=self._flow(label, t), epe=self._flow_error(label, t))
            values = {name: None if each is None else each[..., y, x].tolist() for name, each in maps.items()}
            found[label] = {"rgb": self._clips[label][t, y, x].tolist()} | values
        return found

    def worst(self, label: str) -> tuple[int, int, int, float]:
        """(frame, x, y, error) where `label` is worst: flow error in px, without two flows frame error in levels.

        The error is averaged over 9 x 9 pixels, so that a single pixel does not count as an artefact.
        """
        label = printable(label)
        rows = self._summary(label) if label in self.labels else []
        if not rows:
            raise InputError(f"viewer: {label} has no flow to measure; give clips and flows of it and {self.reference}")
        frame, (_, value, x, y) = max(enumerate(rows), key=lambda row: row[1][1])
        return frame, x, y, value

    # --- outputs ---

    def to_html(self) -> str:
        """The viewer as HTML that needs no kernel, no network and no server, of at most `budget` bytes.

        Each viewer's HTML ends with SCRIPT_TAG; a page with several viewers needs it once, and the book keeps one.
        Raises InputError where the frames do not fit.
        """
        view = {name: getattr(self, name) for name in self._view}
        if self.picked:  # a wipe passes through it
            view["wipe"] = round(200 * (self.picked[0] + 0.5) / self._width) / 2
        shown = f"{self.left} beside {self.right}, frame {self.frame} of 0 to {self._count - 1}."
        return Template(FIGURE).substitute(
            alt=html.escape(f"{self._alt.rstrip('.')}: {shown}" if self._alt else shown),
            poster=coding.text(coding.encoded(self._poster(), format="WEBP", quality=60, method=4)),
            payload=json.dumps(self._payload | {"view": view}, separators=(",", ":")).replace("<", "\\u003c"),
            script=SCRIPT_TAG,
        )

    def save(self, path: str | Path) -> Path:
        """Write the viewer as a page of its own, opened from the disk by any browser."""
        title = html.escape(f"{', '.join(self.labels)}{self._alt and ': ' + self._alt}")
        files.write_atomically(path, Template(PAGE).substitute(title=title, figure=self.to_html()))
        return Path(path)

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict, dict]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        if self._budget and len(self._clips) * self._count * self._height * self._width <= STATIC_PIXELS:
            data["text/html"] = self.to_html()
        return data, metadata

    def _poster(self) -> Image.Image:
        """The two frames side by side under their labels, for paper; small frames are enlarged."""
        zoom, gap, bar = max(1, round(POSTER_WIDTH / self._width)), 8, 24
        width, height = zoom * self._width, zoom * self._height
        picture = Image.new("RGB", (2 * width + gap, bar + height), "white")
        draw, font = ImageDraw.Draw(picture), ImageFont.load_default(15)
        for x, label in ((0, self.left), (width + gap, self.right)):
            frame = Image.fromarray(self._clips[label][self.frame])
            picture.paste(frame.resize((width, height), Image.Resampling.NEAREST), (x, bar))
            draw.text((x, 2), label, "black", font)
        picture.thumbnail((900, 900))
        return picture

    # --- what the browser is told ---

    def _live_spec(self, scores: Mapping[str, Mapping], action: str | None) -> dict:
        """Everything but frames, flow and the view, for one frame or flow an answer."""
        return {
            "width": self._width,
            "height": self._height,
            "count": self._count,
            "labels": self.labels,
            "reference": self.labels.index(self.reference),
            "flows": [*(label in self._flows for label in self.labels), self._exact is not None],
            "exact": len(self.labels) if self._exact is not None else None,  # its place in flows
            "traces": [PSNR, *self._given],
            "path": {"title": self._path_title, "steps": self._path},
            "layers": self.layers,
            "bounds": self._bounds(),
            "peakSide": PEAK_SIDE,
            **colours(),
            "scores": [_answers(label, scores[label], action) if label in scores else [] for label in self.labels],
            "action": action,
            "alt": self._alt,
            "rows": 1,
            "stride": 1,
            "unit": coding.UNIT,
            "loss": "",
        }

    @cached_property
    def _payload(self) -> dict:
        """The static page's data: pictures and flow as base64."""
        room = (self._budget - len(SCRIPT_TAG) - OVERHEAD) * 3 // 4  # base64
        for stride in (1, 2, 4, 8, 16):
            flows = {label: coding.pack_flow(flow, stride) for label, flow in self._moving().items()}
            if sum(map(len, flows.values())) <= 0.35 * room:
                break
        room = max(0, room - sum(map(len, flows.values())))
        sheets, rows, loss = coding.code_clips(list(self._clips.values()), room)
        return {
            "spec": self.spec | {"rows": rows, "stride": stride, "loss": loss},
            "sheets": [[coding.text(sheet) for sheet in each] for each in sheets],
            "flows": [coding.text(flows[label]) if label in flows else None for label in (*self.labels, None)],
            "summaries": [self._summary(label) for label in self.labels],
            "traces": {title: [self._trace(title, label) for label in self.labels] for title in self.spec["traces"]},
        }

    def _answer(self, _: object, message: dict, buffers: list) -> None:
        """Send what the browser asks for: a frame, a flow, or the errors of all frames."""
        label, t = [*self.labels, None][message["method"]], message.get("frame")
        answers = {
            "frame": lambda: coding.encoded(self._clips[label][t], **coding.FAST),
            "flow": lambda: coding.pack_flow(self._moving()[label][t][None], stride=1),
            "summary": lambda: json.dumps(self._summary(label)).encode(),
            "trace": lambda: json.dumps(self._trace(message["trace"], label)).encode(),
        }
        self.send({"id": message["id"]}, buffers=[answers[message["ask"]]()])

    # --- flow and errors ---

    def _moving(self) -> dict[str | None, np.ndarray]:
        """All flows by label, the exact one by None."""
        return self._flows | ({} if self._exact is None else {None: self._exact})

    def _trace(self, title: str, label: str) -> list[float] | None:
        """A value a frame, None where there are none; the reference has no PSNR, for it has no error."""
        if title != PSNR:
            return self._given[title].get(label)
        if label == self.reference:
            return None
        errors = ((self._clips[label][t] - self._clips[self.reference][t].astype(float)) for t in range(self._count))
        squares = [max(float(np.mean(error**2)), 1e-4) for error in errors]  # equal frames: 88 dB
        return [round(10 * math.log10(255**2 / square), 3) for square in squares]

    def _checked_trace(self, title: str, of: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
        """A trace's values by label, as many as frames."""
        found = {label: [float(x) for x in values] for label, values in _by_label("trace", of, self.labels).items()}
        for label, values in found.items():
            if len(values) != self._count or not np.isfinite(values).all():
                raise InputError(f"viewer: {title} of {label}: expected {self._count} finite values, got {len(values)}")
        return found

    def _checked_path(self, path: Mapping[str, float]) -> list[list]:
        """[a label's place, its number] of each step, in the order of the numbers."""
        found = _by_label("path", path, self.labels)
        if not all(isinstance(x, Real) and math.isfinite(x) for x in found.values()) or len(found) == 1:
            raise InputError(f"viewer: path: expected a finite number for two labels or more, got {path!r}")
        return sorted(([self.labels.index(label), float(x)] for label, x in found.items()), key=lambda step: step[1])

    def _flow(self, label: str, t: int) -> np.ndarray | None:
        """Flow from t to t + 1 as float32 (2, H, W); None for the last frame and for methods without flow."""
        return self._flows[label][t] if label in self._flows and t < self._count - 1 else None

    def _speed(self, label: str, t: int) -> np.ndarray | None:
        return None if (flow := self._flow(label, t)) is None else np.hypot(*flow)

    def _motion(self, label: str, t: int) -> np.ndarray | None:
        """The speed that weighs the error of WMSE: the true one, else that of the label's flow."""
        if self._exact is None:
            return self._speed(label, t)
        return np.hypot(*self._exact[t]) if t < self._count - 1 else None  # the last frame moves nowhere

    def _flow_error(self, label: str, t: int) -> np.ndarray | None:
        flow, true = self._flow(label, t), self._flow(self.reference, t)
        return None if flow is None or true is None else np.hypot(*(flow - true))

    def _frame_error(self, label: str, t: int) -> np.ndarray:
        return np.abs(self._clips[label][t].astype(np.float32) - self._clips[self.reference][t]).mean(-1)

    def _summary(self, label: str) -> list[list[float]]:
        """[mean error, highest smoothed error, its x, its y] of each frame that has one."""
        errors = (self._error(label, t) for t in range(self._count))
        return [[round(float(e.mean()), 4), *_peak(e)] for e in errors if e is not None]

    def _bounds(self) -> dict[str, float]:
        """The end of each layer's colours: the 99th percentile of some frames, rounded up."""
        step = max(1, self._height * self._width // 20_000)
        frames = sorted({round(t) for t in np.linspace(0, max(self._count - 2, 0), 6)})

        def end(measure: Callable[[str, int], np.ndarray | None], labels: list[str]) -> float:
            maps = (measure(label, t) for t in frames for label in labels)
            values = [x.ravel()[::step] for x in maps if x is not None]
            return _nice(float(np.percentile(np.concatenate(values), 99))) if values else 1.0

        flow, errors = end(self._speed, self.labels), (self._flow_error, self._frame_error)
        flow_error, frame_error = (end(measure, self._others) for measure in errors)
        motion = end(self._motion, [self.reference])
        bounds = {"flow": flow, "weight": motion, "exact_flow": motion}
        return bounds | {"flow_error": flow_error, "frame_error": frame_error}


def colours() -> dict[str, list[int]]:
    """The flow wheel's 55 colours and viridis' 256, R, G, B after one another, as the browser paints with them."""
    maps = {"wheel": wheel().numpy(), "viridis": np.array(matplotlib.colormaps["viridis"].colors)}
    return {name: (x * 255).round().astype(int).ravel().tolist() for name, x in maps.items()}


def _peak(error: np.ndarray) -> tuple[float, int, int]:
    """(value, x, y) of the highest mean over a square of PEAK_SIDE pixels around x, y; there is no error outside."""
    mean = uniform_filter(error.astype(np.float64), PEAK_SIDE, mode="constant")
    y, x = np.unravel_index(mean.argmax(), mean.shape)
    return round(float(mean[y, x]), 4), int(x), int(y)


def _nice(high: float) -> float:
    """The next larger of 1, 1.5, 2, 3 ... times a power of ten; 1 for 0."""
    power = 10 ** math.floor(math.log10(high or 1.0))
    return float(f"{next(n for n in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if n * power >= high * 0.999) * power:.6g}")


def _answers(label: str, given: object, action: str | None) -> list[list]:
    """Rows of `_best`; of several streams each with the stream's name."""
    if isinstance(given, Mapping) and given and all(isinstance(its, Mapping) for its in given.values()):
        return [[*row, printable(s)] for s, its in given.items() for row in _best(f"{label}, {s}", its, action)]
    return _best(label, given, action)


def _best(label: str, given: Mapping[str, float], action: str | None) -> list[list]:
    """[class, score, rank] of the three best classes and of the true one."""
    scores = {printable(c): s for c, s in given.items()} if isinstance(given, Mapping) else {}
    finite = scores and all(isinstance(s, Real) and math.isfinite(s) for s in scores.values())
    if not finite or (action is not None and action not in scores):
        true = "" if action is None else f" with one for the true class {action!r}"
        raise InputError(f"viewer: scores of {label}: expected {{class: finite score}}{true}, got {given!r}")
    order = sorted(scores, key=scores.get, reverse=True)
    return [[c, float(scores[c]), rank] for rank, c in enumerate(order, start=1) if rank <= 3 or c == action]


def _by_label(kind: str, given: object, labels: Sequence[str] | None = None) -> Mapping:
    """What is given as {label: ...}; labels: those of the clips."""
    if not isinstance(given, Mapping) or not all(isinstance(label, str) for label in given):
        raise InputError(f"viewer: expected {kind} as {{label: ...}} with labels as text, got {describe(given)}")
    shown = {printable(label): value for label, value in given.items()}
    if len(shown) < len(given):
        raise InputError(f"viewer: two labels of the {kind} are written alike: {', '.join(shown)}")
    if labels and (unknown := shown.keys() - labels):
        raise InputError(f"viewer: no clip for the {kind} of {unknown.pop()!r}; choose one of {', '.join(labels)}")
    return shown


def _tensor(value: object) -> object:
    """An array as a tensor; what is none stays as it is."""
    return torch.from_numpy(np.require(value, requirements=["C", "W"])) if isinstance(value, np.ndarray) else value


def _checked_clips(clips: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """{label: uint8 (T, H, W, 3)}, all of one shape; what is uint8 is not copied."""
    found = {}
    for label, clip in _by_label("clips", clips).items():
        x, where = _tensor(clip), f"viewer: clip {label}"
        if isinstance(x, torch.Tensor) and x.dtype == torch.uint8:
            require(where, "uint8", FORMS, clip=(x, "T H W 3"))
            found[label] = x.cpu().numpy()
        else:
            require(where, "float", FORMS, clip=(x, "1 T 3 H W | T 3 H W"))
            require_range(where, x)
            found[label] = video.to_uint8(x.reshape(1, *x.shape[-4:]))
    sizes = {x.shape: f"{label} has {len(x)} frames of {x.shape[2]}x{x.shape[1]}" for label, x in found.items()}
    if len(sizes) != 1:
        said = " and ".join(sizes.values()) or "none"
        raise InputError(f"viewer: expected at least one clip, and all of one length and size, got: {said}")
    return found


def _checked_flows(
    flows: Mapping[str, Array], clips: dict[str, np.ndarray], what: str = "flow"
) -> dict[str, np.ndarray]:
    """{label: float32 (T - 1, 2, H, W)}; none for a single frame."""
    count, height, width, _ = next(iter(clips.values())).shape
    found, size = {}, f"{count - 1} 2 {height} {width}"
    for label, flow in _by_label("flows", flows, list(clips)).items():
        x, where = _tensor(flow), f"viewer: {what} of {label}"
        require(where, "float", "in pixels, from t to t + 1", flow=(x, f"{size} | 1 {size}"))
        found[label] = x.detach().reshape(x.shape[-4:]).float().cpu().numpy()
        if count > 1 and not np.abs(found[label]).max() <= LONGEST_FLOW:
            raise InputError(f"{where} holds NaN or vectors beyond {LONGEST_FLOW} px; set unknown vectors to 0")
    return found if count > 1 else {}
