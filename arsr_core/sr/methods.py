"""The table of methods: which network each is, at its published size and at one that a CPU trains in minutes."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from arsr_core.errors import InputError
from arsr_core.sr.networks.duf import DUF
from arsr_core.sr.networks.rcan import RCAN
from arsr_core.sr.networks.rrdb import RRDBNet
from arsr_core.sr.networks.spmc import SPMC
from arsr_core.sr.networks.srgan import MSRResNet
from arsr_core.sr.networks.vdsr import VDSR, Bicubic


@dataclass(frozen=True)
class Method:
    """A row of the paper's comparison: `build(**hyper)` is the published network, `build(**lite)` the small one."""

    name: str
    title: str
    paper: str
    build: Callable[..., nn.Module]  # with the attributes that `sr.build` names, and a row in `namings.FAMILIES`
    hyper: dict
    lite: dict
    frames: int = 1  # LR frames that make one SR frame


# builder, published size, small size, LR frames
VDSR_20 = VDSR, dict(layers=20, features=64), dict(layers=8, features=32)
RCAN_200 = (
    RCAN,
    dict(groups=10, blocks=20, features=64, reduction=16),
    dict(groups=2, blocks=3, features=32, reduction=8),
)
GENERATOR = MSRResNet, dict(blocks=16, features=64), dict(blocks=4, features=32)
RRDB = RRDBNet, dict(features=64, blocks=23, growth=32), dict(features=32, blocks=2, growth=16)
SPMC_3 = SPMC, dict(frames=3, features=32, motion=24), dict(frames=3, features=12, motion=12), 3
LITE = dict(width=64, momentum=0.1, bilinear=True)  # of VSR-DUF, for short training
DUF_16 = DUF, dict(blocks=6, features=64, growth=32, width=256), dict(blocks=4, features=24, growth=12, **LITE), 7
DUF_28 = DUF, dict(blocks=12, features=64, growth=16, width=256), dict(blocks=6, features=24, growth=8, **LITE), 7
DUF_52 = DUF, dict(blocks=24, features=64, growth=16, width=256), dict(blocks=8, features=24, growth=8, **LITE), 7

ROWS = (
    Method("bicubic", "Bicubic", "Keys, IEEE TASSP 1981", Bicubic, {}, {}),
    Method("vdsr", "VDSR", "Kim, Lee and Lee, CVPR 2016", *VDSR_20),
    Method("rcan", "RCAN", "Zhang et al., ECCV 2018", *RCAN_200),
    Method("srresnet", "SRResNet", "Ledig et al., CVPR 2017", *GENERATOR),
    Method("srgan", "SRGAN", "Ledig et al., CVPR 2017", *GENERATOR),
    Method("rrdb", "RRDBNet", "Wang et al., ECCV Workshops 2018", *RRDB),
    Method("esrgan", "ESRGAN", "Wang et al., ECCV Workshops 2018", *RRDB),
    Method("sosr", "SoSR", "Zhang, Liu and Xiong, ICCV 2019", *RRDB),
    Method("realsr", "RealSR-DF2K", "Ji et al., CVPR Workshops 2020", *RRDB),
    Method("spmc", "SPMC", "Tao et al., ICCV 2017", *SPMC_3),
    Method("duf16", "VSR-DUF-16L", "Jo et al., CVPR 2018", *DUF_16),
    Method("duf28", "VSR-DUF-28L", "Jo et al., CVPR 2018", *DUF_28),
    Method("duf52", "VSR-DUF-52L", "Jo et al., CVPR 2018", *DUF_52),
    Method("tosr", "ToSR", "Zhang, Liu and Xiong, ICCV 2019", *DUF_16),
)
METHODS: dict[str, Method] = {row.name: row for row in ROWS}
STARTS = ("srresnet", "rrdb")  # SRGAN and ESRGAN before their training for looks: not in the paper's tables


def find(name: str) -> Method:
    """The row of METHODS; InputError with the known names for another.

    >>> find("tosr").title
    'ToSR'
    """
    if name not in METHODS:
        raise InputError(f"unknown method {name!r}; known: {', '.join(METHODS)}")
    return METHODS[name]
