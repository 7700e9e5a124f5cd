"""One spelling for streams, networks, data sets and methods in code and records, and how pages write them."""

STREAMS = ("spatial", "temporal")  # TSN's two; they see frames and flow
SCORES = (*STREAMS, "fused")  # what a table has a column for
NETWORKS = {"tsn": "TSN", "st-resnet": "ST-ResNet"}
DATASETS = {
    "embedded": "embedded clips",
    "weizmann": "Weizmann",
    "ut_interaction": "UT-Interaction",
    "hmdb51": "HMDB51",
    "ucf101": "UCF101",
}
METHODS = {  # of Table 4 in its order, their starts, and the ablations of Tables 2 and 3
    "hr": "HR",
    "bicubic": "bicubic",
    "vdsr": "VDSR",
    "rcan": "RCAN",
    "srgan": "SRGAN",
    "srresnet": "SRResNet",
    "esrgan": "ESRGAN",
    "rrdb": "RRDBNet",
    "sosr": "SoSR",
    "spmc": "SPMC",
    "duf16": "DUF-16",
    "duf52": "DUF-52",
    "tosr": "ToSR",
    "sosr+tosr": "SoSR+ToSR",
    "vdsr-mse": "VDSR with MSE",
    "vdsr-wmse": "VDSR with WMSE",
    "vdsr-warp": "VDSR with warp loss",
    "vdsr-warp-control": "VDSR without",
    "tosr-control": "DUF-16 without warp loss",
}
PRINTED = {"fused": "fusion", "st-resnet": "st_resnet"}  # the keys of the paper's tables, where they differ from ours
TITLES = METHODS | DATASETS | NETWORKS | {"fused": "fusion"}
TITLES |= {theirs: TITLES[ours] for ours, theirs in PRINTED.items()}


def printed(name: str) -> str:
    """A name as the keys of the paper's own numbers spell it.

    >>> printed("st-resnet"), printed("tsn")
    ('st_resnet', 'tsn')
    """
    return PRINTED.get(name, name)


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
