"""Answer photos with saved_model: python run_saved_model.py PHOTO ...  It needs numpy, pillow and tensorflow."""

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

here = Path(__file__).parent
about = json.loads((here / "model.json").read_text("utf-8"))
labels = (here / "labels.txt").read_text("utf-8").splitlines()
model = tf.saved_model.load(str(here / "saved_model"))

for photo in sys.argv[1:]:
    image = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")  # upright
    width, height = image.size if about["framing"] == "whole" else (min(image.size),) * 2
    left, top = (image.width - width) / 2, (image.height - height) / 2
    size = (about["image_size_px"],) * 2
    image = image.resize(size, Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))
    pixels = np.asarray(image, np.float32)[np.newaxis]  # (1, S, S, 3) in [0, 255]; the network scales them itself
    probabilities = model.serve(pixels).numpy()[0]
    print(photo, *(f"{label}={p:.4f}" for label, p in zip(labels, probabilities, strict=True)))
