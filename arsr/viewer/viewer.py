"""One widget, three outputs: live in JupyterLab, self-contained HTML for static pages, a PNG for paper."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import anywidget
import numpy as np
import torch
import traitlets

from arsr.viewer import coding
from arsr_core import files
from arsr_core.degrade import quantise
from arsr_core.errors import InputError
from arsr_core.flow import wheel

LAYERS = ("frame", "flow", "flow_error", "frame_error", "weight")
MODES = ("side", "wipe")
LENSES = (0, 4, 8, 16)
BUDGET = 2_800_000  # bytes of a viewer's HTML: its page stays under 3 MB
STATIC_PIXELS = 10_000_000  # of all frames together; more would not be worth looking at in so few bytes
OVERSHOOT = 0.2  # float frames beyond [0, 1]: the bicubic cubic's
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

    def __init__(self, clips, flows=None, scores=None, *, action=None, reference=None, alt="", budget=BUDGET, **view):
        self._clips = _checked_clips(clips)
        self.labels = list(self._clips)
        first = next(iter(self._clips.values()))
        self._count, _, self._height, self._width = first.shape
        self._flows = _checked_flows(flows or {}, self._clips)
        self.reference = _known(reference, self.labels, "reference") if reference is not None else self._default()
        self._scores = _checked_scores(scores or {}, self.labels, action)
        self._alt, self._budget = str(alt), budget
        if unknown := sorted(view.keys() - self.trait_names(view=True)):
            raise InputError(f"viewer: no {', '.join(unknown)}; a view has {', '.join(self.trait_names(view=True))}")
        others = [label for label in self.labels if label != self.reference] or self.labels
        super().__init__(spec=self._live_spec, **{"left": self.reference, "right": others[0]} | view)
        self.on_msg(self._answer)

    def _default(self) -> str:
        return "HR" if "HR" in self._clips else self.labels[0]

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
    def _one_of(self, proposal):
        name = proposal["trait"].name
        known = {"layer": self.layers, "mode": MODES, "lens": LENSES}.get(name, self.labels)
        return _known(proposal["value"], known, name)

    @traitlets.validate("frame", "opacity", "scale", "wipe", "fps")
    def _within(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        ranges = {"frame": (0, self._count - 1), "scale": (1 / 1024, 1024), "fps": (0.1, 120)}
        low, high = ranges.get(name, (0, 100))
        if not low <= value <= high:
            raise InputError(f"viewer: {name} must be from {low:g} to {high:g}, got {value}")
        return value

    @traitlets.validate("picked", "line")
    def _inside(self, proposal):
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
        true_rgb, true_flow = self._rgb(self.reference, t)[y, x].astype(float), self._flow(self.reference, t)
        found = {}
        for label in self.labels:
            rgb, flow = self._rgb(label, t)[y, x], self._flow(label, t)
            both = flow is not None and true_flow is not None
            found[label] = {
                "rgb": tuple(rgb.tolist()),
                "error": float(np.abs(rgb - true_rgb).mean()),
                "flow": None if flow is None else tuple(flow[:, y, x].tolist()),
                "epe": float(np.hypot(*(flow - true_flow)[:, y, x])) if both else None,
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
        payload = json.dumps(self._payload | {"view": view}, separators=(",", ":")).replace("<", "\\u003c")
        return (
            f'<arsr-viewer><img alt="{html.escape(self._described(), quote=True)}" style="max-width:100%" '
            f'src="data:image/webp;base64,{_text(coding.thumbnail(self._side_by_side()))}">'
            f'<script type="application/json">{payload}</script></arsr-viewer>\n{SCRIPT_TAG}'
        )

    def save(self, path: str | Path) -> Path:
        """Write the viewer as a page of its own, opened from the disk by any browser."""
        path = Path(path)
        title = html.escape(f"{', '.join(self.labels)}{self._alt and ': ' + self._alt}")
        head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        style = "<style>:root{color-scheme:light dark}body{margin:1rem auto;max-width:75rem;padding:0 1rem}</style>"
        page = f'<!DOCTYPE html>\n<html lang="en"><head>{head}<title>{title}</title>{style}</head>\n'
        files.write_atomically(path, f"{page}<body><main>\n{self.to_html()}\n</main></body></html>\n")
        return path

    def poster(self) -> bytes:
        """The two frames side by side under their labels, as PNG; small frames are enlarged."""
        return coding.png(self._side_by_side())

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        extra = {"image/png": _text(self.poster())}
        if self._budget and len(self._clips) * self._count * self._height * self._width <= STATIC_PIXELS:
            extra["text/html"] = self.to_html()
        return data | extra, metadata

    def _described(self) -> str:
        shown = f"{self.left} beside {self.right}, frame {self.frame} of 0 to {self._count - 1}"
        return f"{self._alt.rstrip('.')}: {shown}." if self._alt else f"{shown}."

    def _side_by_side(self) -> np.ndarray:
        from PIL import Image, ImageDraw, ImageFont

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
        return np.asarray(picture)

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

    @property
    def _live_spec(self) -> dict:
        """With one frame or flow an answer."""
        stride = math.ceil(math.sqrt(self._height * self._width / LIVE_FLOW_PIXELS))
        coding = {"rows": 1, "flowRows": 1, "stride": stride, "unit": LIVE_UNIT}
        return (
            self._spec | coding | {"coding": f"Frames: every value is exact.{self._flow_sentence(stride, LIVE_UNIT)}"}
        )

    def _flow_sentence(self, stride: int, unit: int) -> str:
        grid = "at every pixel" if stride == 1 else f"one vector for {stride} × {stride} pixels"
        return f" Flow: {grid}, in steps of 1/{unit} pixel." if self._flows else ""

    @cached_property
    def _payload(self) -> dict:
        """The static page's data: pictures and flow as base64."""
        flows, stride = self._packed_flows()
        clips = [np.stack([self._rgb(label, t) for t in range(self._count)]) for label in self.labels]
        summaries = [self._summary(label, 0, self._count) for label in self.labels]
        interest, point = self._interest(summaries)
        room = (self._budget - len(SCRIPT_TAG) - OVERHEAD) * 3 // 4 - sum(len(f) for f in flows if f)  # base64
        coded = coding.code_clips(clips, max(0, room), interest, point)
        window = coded.window and {
            **{name: getattr(coded.window, name) for name in ("x", "y", "width", "height")},
            "sheets": [[_text(sheet) for sheet in each] for each in coded.window.sheets],
        }
        return {
            "spec": self._spec
            | {"rows": coded.rows, "flowRows": max(1, self._count - 1), "stride": stride, "unit": STATIC_UNIT}
            | {"coding": coded.sentence + self._flow_sentence(stride, STATIC_UNIT)},
            "sheets": [[_text(sheet) for sheet in each] for each in coded.sheets],
            "window": window,
            "flows": [f and _text(f) for f in flows],
            "summaries": summaries,
        }

    def _packed_flows(self) -> tuple[list[bytes | None], int]:
        """Each method's flow and its stride, the smallest of 1, 2, 4 ... that keeps to the flow's share."""
        share, middle = FLOW_SHARE * self._budget * 3 / 4, (self._count - 1) // 2
        one = [self._flow(label, middle)[None] for label in self._flows]  # an estimate
        stride = 1
        while sum(len(coding.pack_flow(f, stride, STATIC_UNIT)) for f in one) * (self._count - 1) > share:
            stride *= 2
        flows = {label: f.float().cpu().numpy() for label, f in self._flows.items()}
        packed = {label: coding.pack_flow(f, stride, STATIC_UNIT) for label, f in flows.items()}
        return [packed.get(label) for label in self.labels], stride

    def _answer(self, _, message: dict, buffers) -> None:
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

    def _error(self, label: str, t: int) -> np.ndarray | None:
        """Flow error against the reference in px or, without two flows, frame error in levels: (H, W)."""
        if self._compares_flow:
            flow, true = self._flow(label, t), self._flow(self.reference, t)
            return None if flow is None or true is None else np.hypot(*(flow - true))
        difference = self._rgb(label, t).astype(np.float32) - self._rgb(self.reference, t)
        return np.abs(difference).mean(-1)

    def _summary(self, label: str, start: int, stop: int) -> list[list[float]]:
        """[mean error, highest smoothed error, its x, its y] of frames start .. stop - 1 that have one."""
        errors = (self._error(label, t) for t in range(start, stop))
        return [[round(float(e.mean()), 4), *_peak(e)] for e in errors if e is not None]

    def _interest(self, summaries) -> tuple[np.ndarray, tuple[int, int]]:
        """Where a static page's exact pixels are worth most: the summed error (H, W), and the worst place (x, y)."""
        total = np.zeros((self._height, self._width))
        for label in self.labels:
            for t in range(self._count):
                if (error := self._error(label, t)) is not None:
                    total += error
        rows = [row for each in summaries for row in each]
        worst = max(rows, key=lambda row: row[1], default=(0, 0, self._width // 2, self._height // 2))
        return total, (worst[2], worst[3])

    @cached_property
    def _bounds(self) -> dict[str, float]:
        """The end of each layer's colours: the 99th percentile of some frames, rounded up."""
        frames = sorted({round(x) for x in np.linspace(0, max(self._count - 2, 0), 6)})
        step = max(1, self._height * self._width // 20_000)
        lengths, errors, differences = [], [], []
        for t in frames:
            true, true_flow = self._rgb(self.reference, t).astype(np.float32), self._flow(self.reference, t)
            for label in self.labels:
                flow = self._flow(label, t)
                if flow is not None:
                    lengths.append(np.hypot(*flow).ravel()[::step])
                if flow is not None and true_flow is not None and label != self.reference:
                    errors.append(np.hypot(*(flow - true_flow)).ravel()[::step])
                if label != self.reference:
                    differences.append(np.abs(self._rgb(label, t) - true).mean(-1).ravel()[::step])
        flow = _nice(lengths, 1.0)
        return {"flow": flow, "weight": flow, "flow_error": _nice(errors, 1.0), "frame_error": _nice(differences, 20.0)}


def _peak(error: np.ndarray) -> tuple[float, int, int]:
    """(value, x, y) of the highest mean over a square of PEAK_SIDE pixels; x, y is its centre."""
    h, w = (min(PEAK_SIDE, n) for n in error.shape)
    total = np.pad(error.astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    mean = (total[h:, w:] - total[:-h, w:] - total[h:, :-w] + total[:-h, :-w]) / (h * w)
    y, x = np.unravel_index(mean.argmax(), mean.shape)
    return round(float(mean[y, x]), 4), int(x) + w // 2, int(y) + h // 2


def _nice(values: list[np.ndarray], default: float) -> float:
    high = float(np.percentile(np.concatenate(values), 99)) if values else 0.0
    if high <= 0:
        return default
    power = 10 ** math.floor(math.log10(high))
    return float(f"{next(n for n in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if n * power >= high * 0.999) * power:.6g}")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


# --- checks ---


def _known(value, known, name: str):
    if value not in known:
        raise InputError(f"viewer: no {name} {value!r}; choose one of {', '.join(map(str, known))}")
    return value


def _checked_clips(clips) -> dict[str, torch.Tensor]:
    """{label: (T, 3, H, W)}, uint8 or float, all of one shape."""
    if not isinstance(clips, Mapping) or not clips:
        raise InputError(f"viewer: expected clips as {{label: clip}} with at least one, got {_describe(clips)}")
    found = {}
    for label, clip in clips.items():
        if not isinstance(label, str) or not label.strip():
            raise InputError(f"viewer: a clip's label must be text, got {label!r}")
        found[label] = _checked_clip(label, clip)
    first_label, first = next(iter(found.items()))
    for label, clip in found.items():
        if clip.shape != first.shape:
            sizes = (
                f"{n} has {c.shape[0]} frames of {c.shape[3]}x{c.shape[2]}"
                for n, c in ((first_label, first), (label, clip))
            )
            raise InputError(f"viewer: {' and '.join(sizes)}; cut or resize them to one length and size")
    return found


def _checked_clip(label: str, clip) -> torch.Tensor:
    expected = "expected float (T, 3, H, W) or (1, T, 3, H, W) in [0, 1], or uint8 (T, H, W, 3)"
    x = _tensor(clip)
    if x is not None and x.ndim == 4 and x.dtype == torch.uint8 and x.shape[3] == 3:
        x = x.permute(0, 3, 1, 2)
    if x is None or x.ndim != 4 or x.shape[1] != 3:
        raise InputError(f"viewer: clip {label}: {expected}, got {_describe(clip)}")
    if not x.numel():
        raise InputError(f"viewer: clip {label} {tuple(clip.shape)} is empty; expected at least one frame")
    if x.is_floating_point():
        low, high = (v.item() for v in x.aminmax())
        if math.isnan(low) or low < -OVERSHOOT or high > 1 + OVERSHOOT:
            raise InputError(
                f"viewer: clip {label}: expected values in [0, 1], found {low:.4g} to {high:.4g}; "
                "divide 8-bit values by 255, and check what made NaN"
            )
    return x


def _tensor(value) -> torch.Tensor | None:
    """A float or uint8 tensor without a leading 1; None for anything else."""
    if isinstance(value, np.ndarray) and (value.dtype == np.uint8 or value.dtype.kind == "f"):
        value = torch.from_numpy(np.require(value, requirements=["C", "W"]))
    if not isinstance(value, torch.Tensor) or not (value.is_floating_point() or value.dtype == torch.uint8):
        return None
    return value.detach()[0] if value.ndim == 5 and value.shape[0] == 1 else value.detach()


def _checked_flows(flows, clips: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """{label: float (T - 1, 2, H, W)}."""
    if not isinstance(flows, Mapping):
        raise InputError(f"viewer: expected flows as {{label: flow}}, got {_describe(flows)}")
    t, _, h, w = next(iter(clips.values())).shape
    found = {}
    for label, flow in flows.items():
        _known(label, list(clips), "clip for the flow of")
        expected = f"expected float ({t - 1}, 2, {h}, {w}) in pixels"
        x = _tensor(flow)
        if x is None or x.shape != (t - 1, 2, h, w) or not x.is_floating_point():
            raise InputError(f"viewer: flow of {label}: {expected}, got {_describe(flow)}")
        if x.numel() and not x.abs().max().item() <= LONGEST_FLOW:
            raise InputError(
                f"viewer: flow of {label} holds NaN or vectors beyond {LONGEST_FLOW} px; set unknown vectors to 0"
            )
        found[label] = x
    return found if t > 1 else {}


def _checked_scores(scores, labels: list[str], action: str | None) -> list[list[dict]]:
    """What the browser shows of them: for each label a list of streams, see `_stream`."""
    if not isinstance(scores, Mapping):
        raise InputError(f"viewer: expected scores as {{label: {{class: score}}}}, got {_describe(scores)}")
    streams = {}
    for label, given in scores.items():
        _known(label, labels, "clip for the scores of")
        nested = isinstance(given, Mapping) and given and all(isinstance(s, Mapping) for s in given.values())
        by_stream = given if nested else {"": given}
        streams[label] = {str(name): _stream(label, s, action) for name, s in by_stream.items()}
    for name in {name for each in streams.values() for name in each}:  # one scale for all methods of a stream
        same = [each[name] for each in streams.values() if name in each]
        ends = {"low": min(0.0, *(s["low"] for s in same)), "high": max(s["high"] for s in same)}
        for each in same:
            each |= ends
    return [[s | {"stream": name} for name, s in streams.get(label, {}).items()] for label in labels]


def _stream(label: str, scores, action: str | None) -> dict:
    """{"top": the three best as [class, score, rank], "true": the true class alike, "low", "high": the ends}."""
    if not (isinstance(scores, Mapping) and scores and all(math.isfinite(s) for s in scores.values())):
        raise InputError(f"viewer: scores of {label}: expected {{class: finite score}}, got {scores!r}")
    if action is not None and action not in scores:
        raise InputError(f"viewer: scores of {label} lack the true class {action!r}; give a score for each class")
    order = sorted(scores, key=lambda name: -scores[name])
    rows = {name: [str(name), float(scores[name]), rank] for rank, name in enumerate(order, start=1)}
    ends = {"low": float(scores[order[-1]]), "high": float(scores[order[0]])}
    return {"top": [rows[name] for name in order[:3]], "true": None if action is None else rows[action], **ends}


def _describe(value) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"{value.dtype} {tuple(shape)}"
