"""The flow-artefact viewer: one widget, live in JupyterLab and self-contained in a static page."""

from arsr.viewer.viewer import Viewer

__all__ = ["Viewer"]
