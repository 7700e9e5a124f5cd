"""Two-stream action recognition: the recognisers, their test protocols, late fusion, and their files.

Clips of snippets are (N, S, C, H, W), float in [0, 1]: C = 3 for RGB, 10 for a stack of five coded flow fields as
u, v, u, v, ...; scores are before softmax, (N, classes). A name loads its file when it is first asked for.
"""

import lazy_loader

FILES = {
    "augmentation": ("augment",),
    "backbones": ("BACKBONES", "Backbone", "cross_modality"),
    "checkpoint": ("load", "load_public", "save"),
    "fusion": ("fuse",),
    "protocol": ("crop", "mirrored", "resize", "starts", "train_starts"),
    "recogniser": ("Recogniser", "freeze", "parameter_groups", "partial_bn"),
    "settings": ("AUGMENTATIONS", "PROTOCOLS", "Augmentation", "Protocol"),
    "st_resnet": ("STResNet",),
    "tsn": ("TSN",),
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=FILES)
