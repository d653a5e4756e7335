"""`gender-pipeline serve` as users start it."""

import json
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from lamp_models import SIZE_PX, lamp_file, shade
from served_command import COMMAND, Server, serving

pytestmark = pytest.mark.servers
NAME = "gender-classifier"
PROJECT = Path(__file__).parents[2]


@pytest.fixture
def lamp(tmp_path) -> Iterator[Server]:
    with serving(tmp_path, "--model", lamp_file(tmp_path)) as server:
        yield server


def test_the_command_starts_answers_and_ends_with_zero(lamp: Server) -> None:
    assert lamp.ask("GET", "/readyz")[0] == 200
    face = lamp.predict(shade(51))["photos"][0]["faces"][0]
    assert (face["label"], face["probabilities"]["light"]) == ("dark", pytest.approx(0.2))
    assert json.loads(lamp.ask("GET", "/model")[1])["name"] == "lamp"
    assert lamp.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_that_run_when_the_server_is_stopped_are_answered(lamp: Server, number: int) -> None:
    form = b"".join(
        b'--edge\r\ncontent-disposition: form-data; name="photos"; filename="a"\r\n\r\n' + shade(value) + b"\r\n"
        for value in range(32)
    )
    headers = {"content-type": "multipart/form-data; boundary=edge"}
    with ThreadPoolExecutor(2) as clients:
        # Faces are looked for, so that each takes a while.
        asking = [
            clients.submit(lamp.ask, "POST", "/predict?crop=face", form + b"--edge--\r\n", headers) for _ in range(2)
        ]
        # A request counts once it is read: who is still in the system's queue cannot be known to a server that stops.
        while _waiting(lamp) < 33:
            assert not all(request.done() for request in asking)
            time.sleep(0.01)
        assert lamp.stop(number) == 0
        answers = [request.result() for request in asking]
    assert [status for status, _ in answers] == [200] * 2
    assert all(len(json.loads(body)["photos"]) == 32 for _, body in answers)


def _waiting(server: Server) -> float:
    lines = server.ask("GET", "/metrics")[1].decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("gender_pipeline_waiting_photos "))


def test_a_port_in_use_is_one_line(lamp: Server, tmp_path) -> None:
    command = [COMMAND, "serve", "--model", lamp_file(tmp_path), "--port", str(lamp.port)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"cannot listen on 127.0.0.1 port {lamp.port}" in done.stderr


def test_a_model_that_cannot_be_loaded_ends_the_command_with_one(tmp_path) -> None:
    lamp_file(tmp_path).write_bytes(b"damaged")
    command = [COMMAND, "serve", "--model", tmp_path / "model.onnx", "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "is damaged" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Make a project with three versions in its registry, which say `female` with 0.1, 0.2 and 0.3."""
    import mlflow

    folder = tmp_path_factory.mktemp("project")
    for name in ("conf", "src"):
        shutil.copytree(PROJECT / name, folder / name)
    shutil.copy(PROJECT / "pyproject.toml", folder)
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("test", artifact_location=(folder / "artifacts").as_uri())
    client.create_registered_model(NAME)
    for number in (1, 2, 3):
        run = client.create_run(experiment)
        _constant_model(number / 10).save(folder / str(number) / "artifacts" / "model")
        client.create_model_version(NAME, (folder / str(number)).as_uri(), run.info.run_id)
    client.set_registered_model_alias(NAME, "production", "1")
    yield folder
    mlflow.set_tracking_uri(None)


def _constant_model(p_female: float):
    import keras

    from gender_pipeline.recipes import Recipe
    from gender_pipeline.training import TrainedModel
    from gender_pipeline.zoo import weights_digest

    pixels = keras.Input((SIZE_PX, SIZE_PX, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(pixels)
    network = keras.Model(pixels, keras.layers.Dense(2, "softmax", name="answer")(pooled))
    bias = np.log([p_female, 1 - p_female])
    network.get_layer("answer").set_weights([np.zeros((3, 2)), bias])
    fields = {"name": "constant", "backbone": "efficientnet_lite0", "image_size_px": SIZE_PX}
    fields |= {"optimizer": {"learning_rate": 1}, "epochs": 1, "batch_size": 1, "patience": 1, "seed": 0}
    return TrainedModel(network, Recipe(**fields), ("female", "male"), "pooled", weights_digest(network))


def test_the_alias_is_followed_under_load_without_a_failed_request(project: Path) -> None:
    import mlflow

    environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db"}
    options = ("--model", f"{NAME}@production", "--follow-seconds", "0.5")
    done, versions = Event(), Counter()

    def ask(server: Server) -> None:
        while not done.is_set():
            answer = server.predict(shade(100))
            version = answer["model"]["version"]
            probability = answer["photos"][0]["faces"][0]["probabilities"]["female"]
            assert probability == pytest.approx(int(version) / 10, abs=1e-5)
            versions[version] += 1

    with serving(project, *options, environment=environment) as server, ThreadPoolExecutor(4) as clients:
        asking = [clients.submit(ask, server) for _ in range(4)]
        try:
            for move, number in enumerate(["2", "3", "1", "2"], start=2):
                mlflow.MlflowClient().set_registered_model_alias(NAME, "production", number)
                server.wait_for("model taken over", count=move)
                enough, deadline = versions[number] + 20, time.monotonic() + 60
                while versions[number] < enough and time.monotonic() < deadline:
                    assert not any(request.done() for request in asking), [request.exception() for request in asking]
                    time.sleep(0.05)
                assert versions[number] >= enough
        finally:
            done.set()
        for request in asking:
            request.result()
        assert server.stop() == 0
    assert set(versions) == {"1", "2", "3"}
    print(f"\n{versions.total()} requests, 4 moves of the alias: {dict(versions)}")
