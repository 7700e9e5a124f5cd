"""One widget, three outputs: live in JupyterLab, self-contained HTML for static pages, a PNG for paper."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from string import Template

import anywidget
import numpy as np
import torch
import traitlets
from PIL import Image, ImageDraw, ImageFont

from arsr.viewer import coding
from arsr.viewer.coding import text
from arsr_core import files
from arsr_core.degrade import quantise
from arsr_core.errors import InputError, describe, require, require_range
from arsr_core.flow import wheel

LAYERS = ("frame", "flow", "flow_error", "frame_error", "weight")
MODES = ("side", "wipe")
LENSES = (0, 4, 8, 16)
BUDGET = 2_800_000  # bytes of a viewer's HTML: its page stays under 3 MB
STATIC_PIXELS = 10_000_000  # of all frames together; more would not be worth looking at in so few bytes
LONGEST_FLOW = 1000  # pixels; a longer vector is no displacement
POSTER_WIDTH = 320  # pixels of a frame, about
PEAK_SIDE = 9  # pixels over which an error is averaged before its highest place is sought
STATIC_UNIT, LIVE_UNIT = 16, 32  # fixed-point units of flow a pixel
FLOW_SHARE = 0.35  # of a static page's budget
LIVE_FLOW_PIXELS = 200_000  # larger frames send every second flow vector, and so on
OVERHEAD = 60_000  # bytes of the static HTML that are neither script nor frames nor flow

_HERE = Path(__file__).parent
# the browser's side as a classic script: module scripts do not load from file://
SCRIPT = (
    f"const CSS = {json.dumps((_HERE / 'viewer.css').read_text(encoding='utf-8'))};\n"
    f"{(_HERE / 'viewer.js').read_text(encoding='utf-8')}"
)
SCRIPT_TAG = f"<script data-arsr-viewer-script>(() => {{\n{SCRIPT}\ndefineElement();\n}})();</script>"
FIGURE, PAGE = (Template((_HERE / name).read_text(encoding="utf-8")) for name in ("figure.html", "page.html"))
Array = torch.Tensor | np.ndarray


def _pixels(count: int, help: str) -> traitlets.Tuple:
    return traitlets.Tuple(*[traitlets.CInt()] * 2 * count, default_value=None, allow_none=True, help=help)


class Viewer(anywidget.AnyWidget):
    """Any two of several versions of a clip side by side or under a wipe, with their flow, errors and scores.

    clips: {label: clip}, each float (T, 3, H, W) or (1, T, 3, H, W) in [0, 1], or uint8 (T, H, W, 3).
    flows: {label: flow}, each float (T - 1, 2, H, W) or (1, T - 1, 2, H, W) in pixels, from t to t + 1.
    scores: {label: {class: score}}, or {label: {stream: {class: score}}}; `action` is the true class.
    reference: the label that errors are measured against; None: "HR" if there is one, else the first.
    alt: what the clip shows, in words. fps: the speed of play. budget: bytes of the static HTML; 0: none.
    view: any of the traits below, e.g. frame=7, layer="flow_error".

    The traits are the view: set them and it changes, read them and they say what the reader chose.
    Raises InputError for clips or flows that do not fit together, are empty or hold NaN, and for unknown labels.

    >>> viewer = Viewer({"HR": hr, "SoSR": sr}, {"HR": flow_hr, "SoSR": flow_sr}, frame=7)
    >>> viewer.picked = 120, 80
    >>> viewer.read()["SoSR"]["epe"]
    """

    _esm = f"{SCRIPT}\nexport default {{ render: renderWidget }};\n"

    spec = traitlets.Dict().tag(sync=True)
    frame = traitlets.CInt(0, help="0 .. T - 1").tag(sync=True, view=True)
    left = traitlets.Unicode(help="a label").tag(sync=True, view=True)
    right = traitlets.Unicode(help="a label").tag(sync=True, view=True)
    layer = traitlets.Unicode("frame", help="one of `layers`").tag(sync=True, view=True)
    opacity = traitlets.Int(100, help="of the layer over the frame, in percent").tag(sync=True, view=True)
    scale = traitlets.Float(1.0, help="factor on the range of the layer's colours").tag(sync=True, view=True)
    arrows = traitlets.Bool(False, help="flow as arrows over the layer").tag(sync=True, view=True)
    mode = traitlets.Unicode("side", help="side or wipe").tag(sync=True, view=True)
    wipe = traitlets.Float(50.0, help="place of the wipe, percent of the width").tag(sync=True, view=True)
    lens = traitlets.Int(0, help="magnification: 0 (off), 4, 8 or 16").tag(sync=True, view=True)
    picked = _pixels(1, help="pixel (x, y)").tag(sync=True, view=True)
    line = _pixels(2, help="of the temporal profile: x0, y0, x1, y1").tag(sync=True, view=True)
    fps = traitlets.Float(8.0, help="speed of play, frames a second").tag(sync=True, view=True)
    linked = traitlets.Bool(False, help="move together with the page's other linked viewers").tag(sync=True, view=True)
    playing = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        clips: Mapping[str, Array],
        flows: Mapping[str, Array] | None = None,
        scores: Mapping[str, Mapping] | None = None,
        *,
        action: str | None = None,
        reference: str | None = None,
        alt: str = "",
        budget: int = BUDGET,
        **view: object,
    ):
        self._clips = _checked_clips(clips)
        self.labels = list(self._clips)
        self._count, _, self._height, self._width = self._clips[self.labels[0]].shape
        self._flows = _checked_flows(flows or {}, self.labels, (self._count - 1, self._height, self._width))
        default = "HR" if "HR" in self._clips else self.labels[0]
        self.reference = _known(default if reference is None else reference, self.labels, "reference")
        self._scores = _checked_scores(scores or {}, self.labels, action)
        self._alt, self._budget = str(alt), budget
        if unknown := sorted(view.keys() - self.trait_names(view=True)):
            raise InputError(f"viewer: no {', '.join(unknown)}; a view has {', '.join(self.trait_names(view=True))}")
        others = [label for label in self.labels if label != self.reference] or self.labels
        super().__init__(spec=self._live_spec(), **{"left": self.reference, "right": others[0]} | view)
        self.on_msg(self._answer)

    # --- the view ---

    @property
    def layers(self) -> list[str]:
        """The layers that these clips have: without flows there are no flow layers."""
        needs = {"flow": self._flows, "flow_error": self._compares_flow, "weight": self.reference in self._flows}
        return [layer for layer in LAYERS if needs.get(layer, True)]

    @property
    def _compares_flow(self) -> bool:
        """Whether errors are those of flow: the reference and another clip have it. Otherwise they are of frames."""
        return self.reference in self._flows and len(self._flows) > 1

    @traitlets.validate("left", "right", "layer", "mode", "lens")
    def _one_of(self, proposal: dict) -> object:
        name = proposal["trait"].name
        known = {"layer": self.layers, "mode": MODES, "lens": LENSES}.get(name, self.labels)
        return _known(proposal["value"], known, name)

    @traitlets.validate("frame", "opacity", "scale", "wipe", "fps")
    def _within(self, proposal: dict) -> float:
        name, value = proposal["trait"].name, proposal["value"]
        ranges = {"frame": (0, self._count - 1), "scale": (1 / 1024, 1024), "fps": (0.1, 120)}
        low, high = ranges.get(name, (0, 100))
        if not low <= value <= high:
            raise InputError(f"viewer: {name} must be from {low:g} to {high:g}, got {value}")
        return value

    @traitlets.validate("picked", "line")
    def _inside(self, proposal: dict) -> tuple | None:
        for x, y in zip(*[iter(proposal["value"] or ())] * 2, strict=True):
            if not (0 <= x < self._width and 0 <= y < self._height):
                raise InputError(f"viewer: pixel ({x}, {y}) lies outside a frame of {self._width}x{self._height}")
        return proposal["value"]

    def read(self) -> dict[str, dict] | None:
        """What every method holds at the picked pixel, from the arrays themselves; None where nothing is picked.

        {label: {"rgb", "error", "flow", "epe"}}; rgb and error (mean difference to the reference) in levels of 255,
        flow (u, v) and epe in pixels, None where there is no flow.
        """
        if self.picked is None:
            return None
        (x, y), t = self.picked, self.frame
        true_rgb, found = self._rgb(self.reference, t)[y, x].astype(float), {}
        for label in self.labels:
            rgb, flow, error = self._rgb(label, t)[y, x], self._flow(label, t), self._flow_error(label, t)
            found[label] = {
                "rgb": tuple(rgb.tolist()),
                "error": float(np.abs(rgb - true_rgb).mean()),
                "flow": None if flow is None else tuple(flow[:, y, x].tolist()),
                "epe": None if error is None else float(error[y, x]),
            }
        return found

    def worst(self, label: str) -> tuple[int, int, int, float]:
        """(frame, x, y, error) where `label` is worst: flow error in px, without two flows frame error in levels.

        The error is averaged over 9 x 9 pixels, so that a single pixel does not count as an artefact.
        """
        rows = self._summary(_known(label, self.labels, "label"), 0, self._count)
        if not rows:
            raise InputError(f"viewer: {label} has no flow to measure; give flows for it and for {self.reference}")
        frame = max(range(len(rows)), key=lambda t: rows[t][1])
        _, value, x, y = rows[frame]
        return frame, x, y, value

    # --- outputs ---

    def to_html(self) -> str:
        """The viewer as HTML that needs no kernel, no network and no server, of at most `budget` bytes.

        Each viewer's HTML ends with SCRIPT_TAG; a page with several viewers needs it once, and the book keeps one.
        Raises InputError where the frames do not fit.
        """
        view = {name: getattr(self, name) for name in self.trait_names(view=True)}
        small = self._side_by_side()
        small.thumbnail((900, 900))
        return FIGURE.substitute(
            alt=html.escape(self._described()),
            poster=text(coding.encoded(small, "WEBP", quality=60, method=4)),
            payload=json.dumps(self._payload | {"view": view}, separators=(",", ":")).replace("<", "\\u003c"),
            script=SCRIPT_TAG,
        )

    def save(self, path: str | Path) -> Path:
        """Write the viewer as a page of its own, opened from the disk by any browser."""
        title = html.escape(f"{', '.join(self.labels)}{self._alt and ': ' + self._alt}")
        files.write_atomically(path, PAGE.substitute(title=title, figure=self.to_html()))
        return Path(path)

    def poster(self) -> bytes:
        """The two frames side by side under their labels, as PNG; small frames are enlarged."""
        return coding.encoded(self._side_by_side(), "PNG", optimize=True)

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict, dict]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        extra = {"image/png": text(self.poster())}
        if self._budget and len(self._clips) * self._count * self._height * self._width <= STATIC_PIXELS:
            extra["text/html"] = self.to_html()
        return data | extra, metadata

    def _described(self) -> str:
        shown = f"{self.left} beside {self.right}, frame {self.frame} of 0 to {self._count - 1}"
        return f"{self._alt.rstrip('.')}: {shown}." if self._alt else f"{shown}."

    def _side_by_side(self) -> Image.Image:
        zoom, gap, bar = max(1, round(POSTER_WIDTH / self._width)), 8, 24
        width, height = zoom * self._width, zoom * self._height
        picture = Image.new("RGB", (2 * width + gap, bar + height), "white")
        draw, font = ImageDraw.Draw(picture), ImageFont.load_default(15)
        for x, label in ((0, self.left), (width + gap, self.right)):
            frame = Image.fromarray(self._rgb(label, self.frame))
            picture.paste(frame.resize((width, height), Image.Resampling.NEAREST), (x, bar))
            while len(label) > 1 and draw.textlength(label, font) > width:
                label = label[:-2] + "\N{HORIZONTAL ELLIPSIS}"
            draw.text((x, 2), label, "black", font)
        return picture

    # --- what the browser gets ---

    @cached_property
    def _spec(self) -> dict:
        """Everything but frames, flow, their coding and the view."""
        import matplotlib

        viridis = np.array(matplotlib.colormaps["viridis"].colors)
        return {
            "width": self._width,
            "height": self._height,
            "count": self._count,
            "labels": self.labels,
            "reference": self.labels.index(self.reference),
            "flows": [label in self._flows for label in self.labels],
            "layers": self.layers,
            "bounds": self._bounds,
            "peakSide": PEAK_SIDE,
            "errorUnit": "px" if self._compares_flow else "levels",
            "wheel": (wheel() * 255).round().int().flatten().tolist(),
            "viridis": (viridis * 255).round().astype(int).ravel().tolist(),
            "scores": self._scores,
            "alt": self._alt,
        }

    def _coded_spec(self, frames: str, stride: int, unit: int, **rows: int) -> dict:
        """With what the browser needs to read frames and flow, in numbers and in words."""
        grid = "at every pixel" if stride == 1 else f"one vector for {stride} × {stride} pixels"
        flow = f" Flow: {grid}, in steps of 1/{unit} pixel." if self._flows else ""
        return self._spec | rows | {"stride": stride, "unit": unit, "coding": frames + flow}

    def _live_spec(self) -> dict:
        """With one frame or flow an answer."""
        stride = math.ceil(math.sqrt(self._height * self._width / LIVE_FLOW_PIXELS))
        return self._coded_spec("Frames: every value is exact.", stride, LIVE_UNIT, rows=1, flowRows=1)

    @cached_property
    def _payload(self) -> dict:
        """The static page's data: pictures and flow as base64."""
        flows, stride = self._packed_flows()
        clips = [np.stack([self._rgb(label, t) for t in range(self._count)]) for label in self.labels]
        summaries = [self._summary(label, 0, self._count) for label in self.labels]
        room = (self._budget - len(SCRIPT_TAG) - OVERHEAD) * 3 // 4 - sum(len(f) for f in flows if f)  # base64
        coded = coding.code_clips(clips, max(0, room), *self._interest(summaries))
        rows = {"rows": coded["rows"], "flowRows": max(1, self._count - 1)}
        return {
            "spec": self._coded_spec(coded["coding"], stride, STATIC_UNIT, **rows),
            "sheets": coded["sheets"],
            "window": coded["window"],
            "flows": [f and text(f) for f in flows],
            "summaries": summaries,
        }

    def _packed_flows(self) -> tuple[list[bytes | None], int]:
        """Each method's flow and its stride, the smallest of 1, 2, 4 ... that keeps to the flow's share."""
        share, middle = FLOW_SHARE * self._budget * 3 / 4, (self._count - 1) // 2
        one = [self._flow(label, middle)[None] for label in self._flows]  # an estimate
        stride = 1
        while sum(len(coding.pack_flow(f, stride, STATIC_UNIT)) for f in one) * (self._count - 1) > share:
            stride *= 2
        whole = (self._flows[x].float().cpu().numpy() if x in self._flows else None for x in self.labels)
        return [None if flow is None else coding.pack_flow(flow, stride, STATIC_UNIT) for flow in whole], stride

    def _answer(self, _: object, message: dict, buffers: list) -> None:
        """A request of the browser: one frame, one flow, or the error summary of some frames."""
        reply, data = {"id": message.get("id")}, []
        try:
            label, t = self.labels[message["method"]], message["frame"]
            match message["ask"]:
                case "frame":
                    data = [coding.webp(self._rgb(label, t), effort=0)]
                case "flow":
                    data = [coding.pack_flow(self._flow(label, t)[None], self.spec["stride"], self.spec["unit"])]
                case "summary":
                    reply["summary"] = self._summary(label, t, min(message["stop"], self._count))
        except Exception as error:  # the reader sees it in the viewer
            reply["error"] = f"{type(error).__name__}: {error}"
        self.send(reply, buffers=data)

    # --- pixels and errors ---

    def _rgb(self, label: str, t: int) -> np.ndarray:
        """Frame t as uint8 (H, W, 3)."""
        frame = self._clips[label][t]
        if frame.is_floating_point():
            frame = (quantise(frame.float()) * 255).round().to(torch.uint8)
        return frame.permute(1, 2, 0).contiguous().cpu().numpy()

    def _flow(self, label: str, t: int) -> np.ndarray | None:
        """Flow from t to t + 1 as float32 (2, H, W); None for the last frame and for methods without flow."""
        if label not in self._flows or t >= self._count - 1:
            return None
        return self._flows[label][t].float().cpu().numpy()

    def _speed(self, label: str, t: int) -> np.ndarray | None:
        flow = self._flow(label, t)
        return None if flow is None else np.hypot(*flow)

    def _error(self, label: str, t: int) -> np.ndarray | None:
        """Flow error against the reference in px or, without two flows, frame error in levels: (H, W)."""
        return self._flow_error(label, t) if self._compares_flow else self._frame_error(label, t)

    def _flow_error(self, label: str, t: int) -> np.ndarray | None:
        flow, true = self._flow(label, t), self._flow(self.reference, t)
        return None if flow is None or true is None else np.hypot(*(flow - true))

    def _frame_error(self, label: str, t: int) -> np.ndarray:
        return np.abs(self._rgb(label, t).astype(np.float32) - self._rgb(self.reference, t)).mean(-1)

    def _summary(self, label: str, start: int, stop: int) -> list[list[float]]:
        """[mean error, highest smoothed error, its x, its y] of frames start .. stop - 1 that have one."""
        errors = (self._error(label, t) for t in range(start, stop))
        return [[round(float(e.mean()), 4), *_peak(e)] for e in errors if e is not None]

    def _interest(self, summaries: list[list[list[float]]]) -> tuple[np.ndarray, tuple[int, int]]:
        """Where a static page's exact pixels are worth most: the summed error (H, W), and the worst place (x, y)."""
        errors = (self._error(label, t) for label in self.labels for t in range(self._count))
        total = sum((e for e in errors if e is not None), np.zeros((self._height, self._width)))
        rows = [row for each in summaries for row in each]
        worst = max(rows, key=lambda row: row[1], default=(0, 0, self._width // 2, self._height // 2))
        return total, (worst[2], worst[3])

    @cached_property
    def _bounds(self) -> dict[str, float]:
        """The end of each layer's colours: the 99th percentile of some frames, rounded up."""
        step = max(1, self._height * self._width // 20_000)
        frames = sorted({round(t) for t in np.linspace(0, max(self._count - 2, 0), 6)})
        others = [label for label in self.labels if label != self.reference]

        def end(measure: Callable[[str, int], np.ndarray | None], labels: list[str], default: float) -> float:
            maps = (measure(label, t) for t in frames for label in labels)
            return _nice([x.ravel()[::step] for x in maps if x is not None], default)

        flow, error = end(self._speed, self.labels, 1.0), end(self._flow_error, others, 1.0)
        return {"flow": flow, "weight": flow, "flow_error": error, "frame_error": end(self._frame_error, others, 20.0)}


def _peak(error: np.ndarray) -> tuple[float, int, int]:
    """(value, x, y) of the highest mean over a square of PEAK_SIDE pixels; x, y is its centre."""
    h, w = (min(PEAK_SIDE, n) for n in error.shape)
    mean = coding.window_sums(error, h, w) / (h * w)
    y, x = np.unravel_index(mean.argmax(), mean.shape)
    return round(float(mean[y, x]), 4), int(x) + w // 2, int(y) + h // 2


def _nice(values: list[np.ndarray], default: float) -> float:
    high = float(np.percentile(np.concatenate(values), 99)) if values else 0.0
    if high <= 0:
        return default
    power = 10 ** math.floor(math.log10(high))
    return float(f"{next(n for n in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if n * power >= high * 0.999) * power:.6g}")


# --- checks ---


def _known(value: object, known: Sequence, name: str) -> object:
    if value not in known:
        raise InputError(f"viewer: no {name} {value!r}; choose one of {', '.join(map(str, known))}")
    return value


def _by_label(given: object, name: str, kind: str) -> Mapping:
    if not isinstance(given, Mapping):
        raise InputError(f"viewer: expected {name} as {{label: {kind}}}, got {describe(given)}")
    return given


def _tensor(value: object) -> object:
    """An array as a tensor, and without the 1 of (1, T, C, H, W); what is neither stays as it is."""
    if isinstance(value, np.ndarray) and (value.dtype == np.uint8 or value.dtype.kind == "f"):
        value = torch.from_numpy(np.require(value, requirements=["C", "W"]))
    if not isinstance(value, torch.Tensor):
        return value
    return value.detach()[0] if value.ndim == 5 and value.shape[0] == 1 else value.detach()


def _checked_clips(clips: Mapping[str, Array]) -> dict[str, torch.Tensor]:
    """{label: (T, 3, H, W)}, uint8 or float, all of one shape."""
    found: dict[str, torch.Tensor] = {}
    for label, clip in _by_label(clips, "clips", "clip").items():
        if not isinstance(label, str) or not label.strip():
            raise InputError(f"viewer: a clip's label must be text, got {label!r}")
        x, where = _tensor(clip), f"viewer: clip {label}"
        if isinstance(x, torch.Tensor) and x.dtype == torch.uint8 and x.ndim == 4 and x.shape[3] == 3:
            x = x.permute(0, 3, 1, 2)
        forms = "give float (T, 3, H, W) or (1, T, 3, H, W) in [0, 1], or uint8 (T, H, W, 3)"
        require(where, "float or uint8", forms, clip=(x, "T 3 H W"))
        if x.is_floating_point():
            require_range(where, x)
        found[label] = x
    if not found:
        raise InputError("viewer: expected clips as {label: clip} with at least one, got none")
    sizes = {x.shape: f"{label} has {len(x)} frames of {x.shape[3]}x{x.shape[2]}" for label, x in found.items()}
    if len(sizes) > 1:
        raise InputError(f"viewer: {' and '.join(sizes.values())}; cut or resize them to one length and size")
    return found


def _checked_flows(
    flows: Mapping[str, Array], labels: list[str], size: tuple[int, int, int]
) -> dict[str, torch.Tensor]:
    """{label: float (T - 1, 2, H, W)}; size: T - 1, H, W."""
    found = {}
    for label, flow in _by_label(flows, "flows", "flow").items():
        _known(label, labels, "clip for the flow of")
        x, where, (t, h, w) = _tensor(flow), f"viewer: flow of {label}", size
        require(where, "float", "in pixels, from t to t + 1", flow=(x, f"{t} 2 {h} {w}"))
        if x.numel() and not x.abs().max().item() <= LONGEST_FLOW:
            raise InputError(f"{where} holds NaN or vectors beyond {LONGEST_FLOW} px; set unknown vectors to 0")
        found[label] = x
    return found if size[0] else {}


def _checked_scores(scores: Mapping[str, Mapping], labels: list[str], action: str | None) -> list[list[dict]]:
    """What the browser shows of them: for each label a list of streams, see `_ranked`."""
    found: dict[str, list[dict]] = {label: [] for label in labels}
    for label, given in _by_label(scores, "scores", "{class: score}").items():
        _known(label, labels, "clip for the scores of")
        nested = isinstance(given, Mapping) and given and all(isinstance(s, Mapping) for s in given.values())
        for stream, by_class in (given if nested else {"": given}).items():
            found[label].append(_ranked(label, by_class, action) | {"stream": str(stream)})
    everything = [stream for streams in found.values() for stream in streams]
    for stream in everything:  # one scale for all methods of a stream
        same = [other for other in everything if other["stream"] == stream["stream"]]
        stream |= {"low": min(0.0, *(s["low"] for s in same)), "high": max(s["high"] for s in same)}
    return list(found.values())


def _ranked(label: str, scores: Mapping[str, float], action: str | None) -> dict:
    """{"top": the three best as [class, score, rank], "true": the true class alike, "low", "high": the ends}."""
    if not (isinstance(scores, Mapping) and scores and all(math.isfinite(s) for s in scores.values())):
        raise InputError(f"viewer: scores of {label}: expected {{class: finite score}}, got {scores!r}")
    if action is not None and action not in scores:
        raise InputError(f"viewer: scores of {label} lack the true class {action!r}; give a score for each class")
    order = sorted(scores, key=lambda name: -scores[name])
    rows = {name: [str(name), float(scores[name]), rank] for rank, name in enumerate(order, start=1)}
    true = None if action is None else rows[action]
    return {"top": [rows[n] for n in order[:3]], "true": true, "low": rows[order[-1]][1], "high": rows[order[0]][1]}
