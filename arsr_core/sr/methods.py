"""The table of methods: which network each is, at its published size and at one that a CPU trains in minutes."""

from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name

from arsr_core.errors import InputError


@dataclass(frozen=True)
class Method:
    """A row of the paper's comparison: `build(**hyper)` is the published network, `build(**lite)` the small one."""

    name: str
    title: str
    paper: str
    network: str  # its file in `networks`, and class: with what `sr.build` names, and a row in `namings.FAMILIES`
    hyper: dict
    lite: dict
    frames: int = 1  # LR frames that make one SR frame

    @property
    def build(self) -> Callable:
        """The network's class; loaded when it is asked for, as the table itself needs no torch."""
        return resolve_name(f"arsr_core.sr.networks.{self.network}")


# network, published size, small size, LR frames
VDSR_20 = "vdsr:VDSR", dict(layers=20, features=64), dict(layers=8, features=32)
RCAN_200 = (
    "rcan:RCAN",
    dict(groups=10, blocks=20, features=64, reduction=16),
    dict(groups=2, blocks=3, features=32, reduction=8),
)
GENERATOR = "srgan:MSRResNet", dict(blocks=16, features=64), dict(blocks=4, features=32)
RRDB = "rrdb:RRDBNet", dict(features=64, blocks=23, growth=32), dict(features=32, blocks=2, growth=16)
SPMC_3 = "spmc:SPMC", dict(frames=3, features=32, motion=24), dict(frames=3, features=12, motion=12), 3
LITE = dict(width=64, momentum=0.1, bilinear=True)  # of VSR-DUF, for short training
DUF_16 = "duf:DUF", dict(blocks=6, features=64, growth=32, width=256), dict(blocks=4, features=24, growth=12, **LITE), 7
DUF_28 = "duf:DUF", dict(blocks=12, features=64, growth=16, width=256), dict(blocks=6, features=24, growth=8, **LITE), 7
DUF_52 = "duf:DUF", dict(blocks=24, features=64, growth=16, width=256), dict(blocks=8, features=24, growth=8, **LITE), 7

ROWS = (
    Method("bicubic", "Bicubic", "Keys, IEEE TASSP 1981", "vdsr:Bicubic", {}, {}),
    Method("vdsr", "VDSR", "Kim, Lee and Lee, CVPR 2016", *VDSR_20),
    Method("rcan", "RCAN", "Zhang et al., ECCV 2018", *RCAN_200),
    Method("srresnet", "SRResNet", "Ledig et al., CVPR 2017", *GENERATOR),
    Method("srgan", "SRGAN", "Ledig et al., CVPR 2017", *GENERATOR),
    Method("rrdb", "RRDBNet", "Wang et al., ECCV Workshops 2018", *RRDB),
    Method("esrgan", "ESRGAN", "Wang et al., ECCV Workshops 2018", *RRDB),
    Method("sosr", "SoSR", "Zhang, Liu and Xiong, ICCV 2019", *RRDB),
    Method("realsr", "RealSR-DF2K", "Ji et al., CVPR Workshops 2020", *RRDB),
    Method("spmc", "SPMC", "Tao et al., ICCV 2017", *SPMC_3),
    Method("duf16", "DUF-16", "Jo et al., CVPR 2018", *DUF_16),
    Method("duf28", "DUF-28", "Jo et al., CVPR 2018", *DUF_28),
    Method("duf52", "DUF-52", "Jo et al., CVPR 2018", *DUF_52),
    Method("tosr", "ToSR", "Zhang, Liu and Xiong, ICCV 2019", *DUF_16),
    Method("joint", "joint network", "this book, 2026", *DUF_16),
)
METHODS: dict[str, Method] = {row.name: row for row in ROWS}
STARTS = ("srresnet", "rrdb")  # SRGAN and ESRGAN before their training for looks: not in the paper's tables
OURS = ("joint",)  # the one that is this book's: not in the paper's tables either


def find(name: str) -> Method:
    """The row of METHODS; InputError with the known names for another.

    >>> find("tosr").title
    'ToSR'
    """
    if name not in METHODS:
        raise InputError(f"unknown method {name!r}; known: {', '.join(METHODS)}")
    return METHODS[name]
