"""A killed training goes on to the very weights it would have had."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gender_pipeline.recipes import Recipe
from gender_pipeline.training import FeatureCache, progress, train
from gender_pipeline.training.progress import Checkpoint, Progress

CLASSES = ("female", "male")


def changed(recipe: Recipe, **fields: Any) -> Recipe:
    return Recipe(**{**recipe.model_dump(), **fields})


@pytest.fixture
def recipe(recipe: Recipe) -> Recipe:
    """Two phases, dropout, views and a schedule: all that has a state."""
    return changed(
        recipe,
        phases=[{"trainable": "head", "epochs": 2, "learning_rate": 0.01}],
        trainable="block2",
        head={"hidden_units": [8], "batch_norm": True, "dropout": 0.3},
        optimizer={"learning_rate": 0.01, "schedule": "cosine"},
        augmentation={"views": 2, "flip": True},
        epochs=3,
        patience=3,
    )


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize(
    "saves_until_killed", [pytest.param(1, marks=pytest.mark.long), 2, pytest.param(3, marks=pytest.mark.long), 5]
)
def test_a_training_that_was_killed_ends_with_the_weights_of_one_that_was_not(
    recipe: Recipe,
    album: Any,
    split_manifest: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    saves_until_killed: int,
) -> None:
    cache = FeatureCache(tmp_path / "features")
    whole, history = train(recipe, CLASSES, split_manifest, images=album, cache=cache)

    monkeypatch.setattr(progress, "CHECKPOINT_SECONDS", -1.0)
    saves, save = [], Checkpoint.save

    def save_then_die(self: Checkpoint, state: Progress) -> None:
        save(self, state)
        saves.append(state.epoch)
        if len(saves) == saves_until_killed:
            raise KilledError

    monkeypatch.setattr(Checkpoint, "save", save_then_die)
    with pytest.raises(KilledError):
        train(recipe, CLASSES, split_manifest, images=album, cache=cache, checkpoints=tmp_path / "checkpoints")
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1
    again, history_again = train(
        recipe, CLASSES, split_manifest, images=album, cache=cache, checkpoints=tmp_path / "checkpoints"
    )
    assert len(saves) == 5  # epochs that were done are not done again
    assert again.weights_digest == whole.weights_digest
    pd.testing.assert_frame_equal(history_again, history)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_another_recipe_or_label_does_not_go_on_from_a_checkpoint(tmp_path: Path) -> None:
    kept = Progress(epoch=3, lowest=0.5, weights=[np.ones(2, np.float32)], best=[np.ones(2, np.float32)])
    Checkpoint(tmp_path / "a.safetensors", "one key").save(kept)
    assert Checkpoint(tmp_path / "a.safetensors", "one key").load().epoch == 3
    assert Checkpoint(tmp_path / "a.safetensors", "another key").load() == Progress()


@pytest.mark.parametrize("keep", [0, 1, 8, 60, -1])
def test_a_damaged_checkpoint_is_not_trusted(tmp_path: Path, keep: int, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.safetensors"
    Checkpoint(path, "key").save(Progress(epoch=3, weights=[np.ones(2, np.float32)]))
    path.write_bytes(path.read_bytes()[:keep])
    assert Checkpoint(path, "key").load() == Progress()
    assert "is damaged" in caplog.text


def test_what_was_saved_is_loaded_in_the_same_order(tmp_path: Path) -> None:
    arrays = [np.full((2, number + 1), number, np.float32) for number in range(12)]
    Checkpoint(tmp_path / "a.safetensors", "key").save(Progress(1, 2, 1, 0.25, [{"epoch": 1.0}], arrays, [], arrays))
    found = Checkpoint(tmp_path / "a.safetensors", "key").load()
    assert (found.phase, found.epoch, found.waited, found.lowest) == (1, 2, 1, 0.25)
    for one, other in zip(found.weights, arrays, strict=True):
        np.testing.assert_array_equal(one, other)


# Trains, and is killed at a save if told so: nothing is cleaned up, no `finally` runs.
PROGRAM = """
import json, os, signal, sys
from pathlib import Path
import pandas as pd
sys.path.insert(0, sys.argv[1])
from conftest import TOY, Album, photo
from gender_pipeline.recipes import Recipe
from gender_pipeline.training import FeatureCache, progress, train
from gender_pipeline.zoo import SPECS
SPECS["toy"] = TOY
folder, kill_at = Path(sys.argv[2]), int(sys.argv[5])
manifest, recipe = json.loads(sys.argv[3]), json.loads(sys.argv[4])
progress.CHECKPOINT_SECONDS = -1.0
saves, save = [], progress.Checkpoint.save

def save_then_die(self, state):
    save(self, state)
    saves.append(state.epoch)
    if len(saves) == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)

progress.Checkpoint.save = save_then_die
album = Album([photo(number) for number in range(48)])
cache = FeatureCache(folder / "features")
model, _ = train(
    Recipe(**recipe), ("female", "male"), pd.DataFrame(manifest), images=album, cache=cache, checkpoints=folder / "kept"
)
print(model.weights_digest, len(saves))
"""


@pytest.mark.long
def test_a_process_that_was_killed_is_gone_on_from_by_the_next_one(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, tmp_path: Path
) -> None:
    whole, _ = train(recipe, CLASSES, split_manifest, images=album, cache=FeatureCache(tmp_path / "features"))

    def run(kill_at: int) -> subprocess.CompletedProcess[str]:
        manifest, settings = json.dumps(split_manifest.to_dict("list")), recipe.model_dump_json()
        arguments = [str(Path(__file__).parent), str(tmp_path), manifest, settings, str(kill_at)]
        return subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False)

    assert run(kill_at=3).returncode == -signal.SIGKILL
    found = run(kill_at=0)
    assert found.stdout.split() == [whole.weights_digest, "2"], found.stderr[-2000:]
