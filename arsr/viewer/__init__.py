"""The flow-artefact viewer: one widget, live in JupyterLab and self-contained in a static page.

>>> Viewer({"HR": hr, "bicubic": bicubic}, flows={"HR": flow_hr, "bicubic": flow_bicubic})
"""

from arsr.viewer.viewer import Viewer

__all__ = ["Viewer"]
