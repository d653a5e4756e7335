"""Answer photos with a LiteRT file: python run_litert.py int8.tflite PHOTO ...  (numpy, pillow, ai-edge-litert)."""

import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

here = Path(__file__).parent
about = json.loads((here / "model.json").read_text("utf-8"))
labels = (here / "labels.txt").read_text("utf-8").splitlines()
model = Interpreter(str(here / sys.argv[1]), num_threads=2)
model.allocate_tensors()

for photo in sys.argv[2:]:
    image = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")  # upright
    width, height = image.size if about["framing"] == "whole" else (min(image.size),) * 2
    left, top = (image.width - width) / 2, (image.height - height) / 2
    size = (about["image_size_px"],) * 2
    image = image.resize(size, Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))
    pixels = np.asarray(image, np.float32)[np.newaxis]  # (1, S, S, 3) in [0, 255]; the network scales them itself
    model.set_tensor(model.get_input_details()[0]["index"], pixels)
    model.invoke()
    probabilities = model.get_tensor(model.get_output_details()[0]["index"])[0]
    print(photo, *(f"{label}={p:.4f}" for label, p in zip(labels, probabilities, strict=True)))
