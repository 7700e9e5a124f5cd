"""One spelling for streams, networks, data sets and methods in code and records, and how pages write them."""

from pathlib import Path

import yaml

STREAMS = ("spatial", "temporal")  # TSN's two; they see frames and flow
SCORES = (*STREAMS, "fused")  # what a table has a column for
RIVALS = ("esrgan+duf52",)  # of the paper's pair, sosr+tosr, which it does not show
TABLES: dict[str, dict[str, str]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
NETWORKS, BACKBONES, DATASETS, POOLS, METHODS, PRINTED = TABLES.values()
TITLES = METHODS | DATASETS | POOLS | NETWORKS | BACKBONES | {"fused": "fusion"}
TITLES |= {theirs: TITLES[ours] for ours, theirs in PRINTED.items()}


def title(name: str) -> str:
    """How a page writes a stream, network, data set or method; a name that is not known stays as it is.

    >>> title("st-resnet"), title("st_resnet"), title("hmdb51"), title("fused")
    ('ST-ResNet', 'ST-ResNet', 'HMDB51', 'fusion')
    """
    return TITLES.get(name, name)


def pair(method: str) -> tuple[str, str]:
    """The methods of the frames and of the flow: two that are joined by +, or one for both.

    >>> pair("sosr+tosr"), pair("hr")
    (('sosr', 'tosr'), ('hr', 'hr'))
    """
    spatial, _, temporal = method.partition("+")
    return spatial, temporal or spatial
