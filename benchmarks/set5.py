"""PSNR and SSIM of published weights on Set5 images, x4, from MATLAB's own arrays.

    python benchmarks/set5.py FOLDER vdsr=vdsr.safetensors realsr=realsr.safetensors [--keep]

FOLDER holds files such as butterfly_x4.mat with the ground truth `im_gt` (uint8 RGB). LR frames are made by the 8-bit
bicubic of arsr_core.degrade, outputs are rounded to 8 bits, luma is compared 4 pixels inside the border. --keep
commits the means over the images at hand: results/set5.json.
"""

import argparse
from pathlib import Path

import _common
import torch
from scipy.io import loadmat

from arsr import records
from arsr_core import degrade, metrics, sr
from arsr_core.errors import InputError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("weights", nargs="*", metavar="METHOD=FILE")
    parser.add_argument("--keep", action="store_true", help="write the means to results/ as measurements")
    options = parser.parse_args()
    files = sorted(options.folder.glob("*_x4.mat"))
    if not files:
        raise InputError(f"{options.folder}: no *_x4.mat; give the folder of Set5's arrays")
    models = {"bicubic": sr.load("bicubic")}
    models |= {name: sr.load(name, path) for name, path in _common.weights(options.weights).items()}
    images = ", ".join(f.stem.removesuffix("_x4") for f in files)
    hr = [torch.from_numpy(loadmat(f)["im_gt"]).permute(2, 0, 1)[None] / 255 for f in files]  # (1, 3, H, W)
    hr = [degrade.modcrop(x, 4) for x in hr]
    lr = [degrade.to_lr(x, 4, eight_bit=True) for x in hr]
    source = _common.provenance("Set5", f"{len(files)} images of Set5: {images}", keep=options.keep)
    kept = []
    for name, model in models.items():
        made = [degrade.quantise(sr.upscale(model, x[None], precision="float32"))[0] for x in lr]
        values = {
            "psnr": [float(metrics.psnr(a, b)) for a, b in zip(made, hr, strict=True)],
            "ssim": [float(metrics.ssim(a, b)) for a, b in zip(made, hr, strict=True)],
        }
        print(f"{name:8}", *(f"{f.stem} {p:.2f} dB" for f, p in zip(files, values["psnr"], strict=True)), sep="  ")
        for measure, unit in (("psnr", "dB"), ("ssim", "")):
            what = f"{measure.upper()} of {sr.METHODS[name].title}, luma, x4, mean over images"
            kept.append(records.mean(f"set5.{name}.{measure}", values[measure], unit, what, source))
    if options.keep:
        _common.save(kept, "set5")


if __name__ == "__main__":
    _common.run(main)
