"""The version that answers, and how another one takes its place."""

from dataclasses import replace
from io import StringIO

import numpy as np
import pytest

from gender_pipeline.errors import ExportError, RegistrationError
from gender_pipeline.serving import models as module
from gender_pipeline.serving.models import ModelHolder, ServedModel, file_model
from lamp_models import by_light, served


class Registry:
    """A registry whose alias is moved by hand."""

    def __init__(self) -> None:
        self.version, self.broken, self.loads = "1", set(), []

    def version_of(self) -> str:
        if not self.version:
            raise RegistrationError("the server does not answer")
        return self.version

    def load(self, version: str) -> ServedModel:
        self.loads.append(version)
        if version in self.broken:
            raise ExportError("damaged")
        return served(version)


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def models(registry: Registry) -> ModelHolder:
    holder = ModelHolder(registry.load, registry.version_of)
    holder.load_first()
    return holder


def count(models: ModelHolder, name: str) -> float:
    line = next(line for line in models.metrics.render().decode().splitlines() if line.startswith(f"{name}_total "))
    return float(line.split()[1])


def test_the_alias_is_followed(registry: Registry, models: ModelHolder) -> None:
    assert models.current.version == "1"
    registry.version = "2"
    models.refresh()
    assert models.current.version == "2"
    assert count(models, "gender_pipeline_model_swaps") == 2


def test_a_version_is_not_loaded_twice(registry: Registry, models: ModelHolder) -> None:
    models.refresh()
    models.refresh()
    assert registry.loads == ["1"]


def test_a_version_that_cannot_be_loaded_leaves_the_old_one(registry: Registry, models: ModelHolder) -> None:
    registry.version, registry.broken = "2", {"2"}
    models.refresh()
    models.refresh()
    assert models.current.version == "1"
    assert registry.loads == ["1", "2"]  # it is not tried at every look
    assert count(models, "gender_pipeline_model_failures") == 1


def test_a_version_that_could_not_be_loaded_is_tried_again_later(
    registry: Registry, models: ModelHolder, monkeypatch
) -> None:
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.0)
    registry.version, registry.broken = "2", {"2"}
    models.refresh()
    registry.broken = set()
    models.refresh()
    assert models.current.version == "2"


def test_a_registry_that_cannot_be_reached_leaves_the_old_one_and_is_logged_once(
    registry: Registry, models: ModelHolder, json_log: StringIO
) -> None:
    registry.version = ""
    models.refresh()
    models.refresh()
    assert json_log.getvalue().count("the model registry cannot be asked") == 1
    assert models.current.version == "1"
    registry.version = "3"
    models.refresh()
    assert models.current.version == "3"


def test_a_version_whose_network_fails_never_takes_over(registry: Registry) -> None:
    def network(pixels: np.ndarray) -> np.ndarray:  # noqa: ARG001
        raise RuntimeError("no memory")

    holder = ModelHolder(lambda version: served(version, network if version == "2" else by_light), registry.version_of)
    holder.load_first()
    registry.version = "2"
    holder.refresh()
    assert holder.current.version == "1"


def test_a_version_is_warmed_at_the_sizes_it_will_see() -> None:
    sizes = []

    def network(pixels: np.ndarray) -> np.ndarray:
        sizes.append(len(pixels))
        return by_light(pixels)

    ModelHolder(lambda _: served(network=network), max_batch=7).load_first()
    assert {1, 7} <= set(sizes)


@pytest.mark.parametrize("crop", ["face", "none"])
def test_the_detector_is_there_before_the_first_face(crop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    monkeypatch.setattr(module, "find_faces", looked_at.append)
    model = served()
    ModelHolder(lambda _: replace(model, predictor=replace(model.predictor, crop=crop))).load_first()
    assert bool(looked_at) is (crop == "face")


def test_the_first_version_must_be_had(registry: Registry) -> None:
    registry.broken = {"1"}
    with pytest.raises(ExportError, match="damaged"):
        ModelHolder(registry.load, registry.version_of).load_first()


def test_follow_ends_when_told_to(registry: Registry, models: ModelHolder) -> None:
    models.stop()
    models.follow(0.01)
    assert registry.loads == ["1"]


def test_a_file_that_is_no_model_is_named(tmp_path) -> None:
    with pytest.raises(ExportError, match="cannot load"):
        file_model(tmp_path / "model.onnx")
