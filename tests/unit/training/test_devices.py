"""Devices: several of them, none of that name, too little memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from gender_pipeline.errors import TrainingError
from gender_pipeline.training.devices import out_of_memory_named, strategy_scope

# Logical devices can be made only before TensorFlow has started, so in a process of their own.
PROGRAM = """
import sys
from pathlib import Path
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
sys.path.insert(0, sys.argv[1])
import numpy as np
import pandas as pd
from conftest import TOY, Album, photo
from gender_pipeline.recipes import Recipe
from gender_pipeline.training import FeatureCache, train
from gender_pipeline.zoo import SPECS
SPECS["toy"] = TOY
album = Album([photo(number) for number in range(48)])
manifest = pd.DataFrame({
    "image_id": album.ids, "source": "a", "label": ["female", "male"] * 24,
    "split": ["train"] * 32 + ["validation"] * 16,
})
for trainable in ("head", "all"):
    recipe = Recipe(
        name="tiny", backbone="toy", weights="none", image_size_px=32, trainable=trainable, epochs=2, batch_size=12,
        patience=2, optimizer={"learning_rate": 0.01}, seed=0,
    )
    losses = []
    for names in (("CPU:0",), ("CPU:0", "CPU:1")):
        model, history = train(
            recipe, ("female", "male"), manifest, images=album, cache=FeatureCache(Path(sys.argv[2])), devices=names
        )
        losses.append(history[["loss", "val_loss", "accuracy", "val_accuracy"]].to_numpy())
    print(trainable, "largest difference", np.abs(losses[0] - losses[1]).max())
    # A device normalises its own share of a batch, so that where that is learned the losses are only near each other.
    assert np.abs(losses[0] - losses[1])[:, :2].max() < (1e-4 if trainable == "head" else 0.1)
"""


@pytest.mark.long
def test_two_devices_train_as_one_does(tmp_path: Path) -> None:
    arguments = [str(Path(__file__).parent), str(tmp_path)]
    found = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr[-3000:]


def test_a_device_that_is_not_there_is_an_error_that_lists_those_that_are() -> None:
    with pytest.raises(TrainingError, match=r"no such device; expected one of CPU:0.*received GPU:7"):
        strategy_scope(["GPU:7"])


@pytest.mark.parametrize("message", ["OOM when allocating tensor with shape[64,299]", "RESOURCE_EXHAUSTED: out"])
def test_too_little_memory_names_the_batch_size_to_try(message: str) -> None:
    expected = r"not enough memory.*batch_size 64.*set batch_size to 32"
    with pytest.raises(TrainingError, match=expected), out_of_memory_named(64):
        raise RuntimeError(message)


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(ValueError, match=r"^shapes differ$"), out_of_memory_named(64):
        raise ValueError("shapes differ")
