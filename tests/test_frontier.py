"""The path between two networks, a distance of features that is one, and what is measured along the path."""

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import load_file

from arsr import records
from arsr.data import clips
from arsr.studies import ablation, frontier
from arsr_core import sr

SOURCE = records.Provenance(kind="recomputed", source="test", profile="embedded")


@pytest.fixture(scope="module")
def distance(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("imagenet") / "squeezenet.pth"
    torch.save(torchvision.models.squeezenet1_1().state_dict(), path)
    return frontier.FeatureDistance(path)


@pytest.fixture(scope="module")
def clip():
    return ablation.reference(clips.embedded(1, "test", frames=8)[0].read())


def test_a_path_leads_from_the_start_to_the_end(root, tmp_path):
    files = frontier.path("srgan", root / "weights", tmp_path)
    assert [*files] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert files[0.0].name == "srresnet-video.safetensors" and files[1.0].name == "srgan-video.safetensors"
    a, quarter, b = (load_file(files[x]) for x in (0.0, 0.25, 1.0))
    for name, x in quarter.items():
        if x.is_floating_point():
            torch.testing.assert_close(x, 0.75 * a[name] + 0.25 * b[name])
    assert sr.load("srgan", files[0.25]).scale == 4


def test_a_distance_of_features_is_one(distance, clip):
    hr = clip.hr[:, :2]
    noise = torch.randn(hr.shape, generator=torch.Generator().manual_seed(0))
    near, far = ((hr + level * noise).clamp(0, 1) for level in (0.02, 0.1))
    assert float(distance(hr, hr)) == 0
    assert 0 < float(distance(hr, near)) < float(distance(hr, far))
    assert float(distance(near, hr)) == pytest.approx(float(distance(hr, near)))
    x, y = (distance.net.normalise(v) for v in (hr, far))
    first = distance.net.backbone.features[:2]
    x, y = (torch.nn.functional.normalize(first(v)) for v in (x, y))
    assert float(distance(hr, far)) > float((x - y).square().sum(1).mean()) > 0  # the first of nine parts


def test_measures_of_bicubic_and_their_records(distance, clip):
    values = {"bicubic": frontier.measure(sr.load("bicubic"), [clip, clip], distance)}
    assert values["bicubic"].keys() == frontier.MEASURES.keys()
    plain = ablation.measure(sr.load("bicubic"), [clip])
    assert values["bicubic"]["psnr"][0] == pytest.approx(plain["psnr"][0])
    assert values["bicubic"]["tof"][0] == pytest.approx(plain["tof"][0])
    values["bicubic"]["flicker"] = np.array([np.nan, 2.0])
    found = {record.key: record for record in frontier.records(values, "k", SOURCE)}
    assert found["k.bicubic.flicker"].value == 2.0 and len(found) == len(frontier.MEASURES)
    assert found["k.bicubic.psnr"].unit == "dB"
