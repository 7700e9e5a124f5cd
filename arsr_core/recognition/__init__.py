"""Two-stream action recognition: the recognisers, their test protocols, late fusion, and their files.

Clips of snippets are (N, S, C, H, W), float in [0, 1]: C = 3 for RGB, 10 for a stack of five coded flow fields as
u, v, u, v, ...; scores are before softmax, (N, classes).
"""

from arsr_core.recognition.augment import AUGMENTATIONS, Augmentation, augment
from arsr_core.recognition.backbones import BACKBONES, Backbone, cross_modality
from arsr_core.recognition.checkpoint import load, load_public, save
from arsr_core.recognition.fusion import fuse
from arsr_core.recognition.protocol import PROTOCOLS, Protocol, crop, mirrored, resize, starts, train_starts
from arsr_core.recognition.recogniser import Recogniser, freeze, parameter_groups, partial_bn
from arsr_core.recognition.st_resnet import STResNet
from arsr_core.recognition.tsn import TSN
