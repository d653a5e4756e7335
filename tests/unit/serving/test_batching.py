"""Requests at the same time share passes of the network, and nothing else."""

import asyncio
import time
from threading import Event

import numpy as np
import pytest

from gender_pipeline.serving.batching import Batcher
from gender_pipeline.serving.metrics import Metrics
from gender_pipeline.serving.models import ModelHolder, ServedModel
from gender_pipeline.serving.settings import ServeSettings
from lamp_models import by_light, served, shade


class Recording:
    """A slow network that remembers its batches."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.sizes: list[int] = []
        self.seconds = seconds

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        self.sizes.append(len(pixels))
        time.sleep(self.seconds)
        if 13 in pixels.mean(axis=(1, 2, 3)):
            raise RuntimeError("unlucky")
        return by_light(pixels)


def ask(models: list[ServedModel], shades: list[int], **settings: object) -> list:
    """Answer photos all at once, the n-th by the n-th model; give the answers or errors."""

    async def all_at_once() -> list:
        batcher = Batcher(ServeSettings(**settings), Metrics())
        working = asyncio.create_task(batcher.run())
        photos = [batcher.answer(model, shade(value)) for model, value in zip(models, shades, strict=True)]
        answers = await asyncio.wait_for(asyncio.gather(*photos, return_exceptions=True), 20)
        working.cancel()
        batcher.close()
        return answers

    return asyncio.run(all_at_once())


def lights(answers: list) -> list[float]:
    return [float(answer.faces[0].probabilities[-1]) for answer in answers]


def test_every_request_gets_the_answer_of_its_own_photo() -> None:
    shades = list(range(0, 250, 3))
    answers = ask([served(network=Recording())] * len(shades), shades)
    assert lights(answers) == pytest.approx([value / 255 for value in shades], abs=1e-6)


def test_batches_form_up_to_the_largest() -> None:
    network = Recording()
    ask([served(network=network)] * 40, [50] * 40, max_batch=8)
    assert sum(network.sizes) == 40
    assert len(network.sizes) <= 12
    assert max(network.sizes) == 8


def test_a_photo_that_comes_alone_does_not_wait_for_others() -> None:
    start = time.perf_counter()
    ask([served(network=Recording(0))], [50], linger_seconds=1)
    assert time.perf_counter() - start < 0.9


def test_a_photo_the_network_fails_on_fails_alone() -> None:
    answers = ask([served(network=Recording())] * 6, [0, 51, 13, 102, 153, 204])
    assert isinstance(answers[2], RuntimeError)
    assert lights([answer for answer in answers if answer is not answers[2]]) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])


def test_a_batch_is_answered_by_one_version() -> None:
    def inverted(pixels: np.ndarray) -> np.ndarray:
        return by_light(pixels)[:, ::-1]

    first, second = served("1", Recording()), served("2", inverted)
    shades = list(range(0, 200, 10))
    answers = ask([first, second] * 10, shades)
    expected = [value / 255 if number % 2 == 0 else 1 - value / 255 for number, value in enumerate(shades)]
    assert lights(answers) == pytest.approx(expected, abs=1e-6)


def test_requests_in_flight_keep_the_version_they_began_with() -> None:
    busy, go, wanted = Event(), Event(), ["1"]

    def waiting(pixels: np.ndarray) -> np.ndarray:
        if pixels.mean() == 51:
            busy.set()
            go.wait(10)
        return by_light(pixels)

    def load(version: str) -> ServedModel:
        # The new version has its classes in the other order, and sees photos of another size.
        return served(version, waiting if version == "1" else lambda pixels: by_light(pixels)[:, ::-1])

    models = ModelHolder(load, lambda: wanted[0])
    models.load_first()

    async def swap_between() -> tuple:
        batcher = Batcher(ServeSettings(), Metrics())
        working = asyncio.create_task(batcher.run())
        old, start = models.current, asyncio.create_task(batcher.answer(models.current, shade(51)))
        await asyncio.to_thread(busy.wait, 10)
        wanted[0] = "2"
        await asyncio.to_thread(models.refresh)
        assert models.current is not old
        after = asyncio.create_task(batcher.answer(models.current, shade(51)))
        go.set()
        found = await start, await after
        working.cancel()
        batcher.close()
        return found

    assert lights(list(asyncio.run(swap_between()))) == pytest.approx([0.2, 0.8])
