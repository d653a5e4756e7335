"""Photos of concurrent requests go through the network together."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from gender_pipeline.errors import ImageError
from gender_pipeline.export.predictor import Crop, PhotoAnswer, Prepared
from gender_pipeline.images.decode import open_image
from gender_pipeline.serving.metrics import Metrics
from gender_pipeline.serving.models import ServedModel
from gender_pipeline.serving.settings import ServeSettings

_NOTHING: Final = np.empty((0, 0, 0, 3), np.uint8)


@dataclass(frozen=True, eq=False, slots=True)
class _Job:
    model: ServedModel
    photo: Prepared
    answer: asyncio.Future[PhotoAnswer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Batcher:
    """Prepares photos in threads, and runs the network on all that are waiting in one other thread.

    A batch waits a little for photos that are just being prepared, so that a busy server makes fewer and larger passes
    and an idle one answers at once. It never mixes versions of the model.
    """

    def __init__(self, settings: ServeSettings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._eyes = ThreadPoolExecutor(settings.workers, "prepare")
        self._brain = ThreadPoolExecutor(1, "network")
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()  # bounded by the requests that are admitted
        self._held: _Job | None = None
        self._coming = 0

    async def answer(self, model: ServedModel, data: bytes, crop: Crop | None = None) -> PhotoAnswer:
        """Answer a photo; bytes that are none give a problem."""
        with self._metrics.waiting.track_inprogress():
            photo = await self.prepare(model, data, crop)
            if photo.problem:
                return PhotoAnswer(problem=photo.problem)
            job = _Job(model, photo)
            self._jobs.put_nowait(job)
            return await job.answer

    async def prepare(self, model: ServedModel, data: bytes, crop: Crop | None = None) -> Prepared:
        """Decode a photo and find its faces in a thread."""
        loop = asyncio.get_running_loop()
        self._coming += 1
        try:
            return await loop.run_in_executor(self._eyes, _prepare, model, data, crop, self._settings.max_pixels)
        finally:
            self._coming -= 1

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            await self._pass(await self._gather())

    def close(self) -> None:
        """End the threads; what has not begun is dropped."""
        for pool in (self._eyes, self._brain):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _gather(self) -> list[_Job]:
        batch = [self._held or await self._jobs.get()]
        self._held = None
        deadline = asyncio.get_running_loop().time() + self._settings.linger_seconds
        while _faces(batch) < self._settings.max_batch and (self._coming or not self._jobs.empty()):
            try:
                async with asyncio.timeout_at(deadline if self._jobs.empty() else None):
                    job = await self._jobs.get()
            except TimeoutError:
                break
            if job.model is not batch[0].model:
                self._held = job
                break
            batch.append(job)
        return batch

    async def _pass(self, batch: Sequence[_Job]) -> None:
        """Answer a batch; where that fails each photo is tried alone, so that none fails for another one."""
        loop = asyncio.get_running_loop()
        predictor = batch[0].model.predictor
        started = time.perf_counter()
        try:
            answers = await loop.run_in_executor(self._brain, predictor.answer_prepared, [job.photo for job in batch])
        except Exception as error:
            if len(batch) == 1 and not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            for job in batch if len(batch) > 1 else ():
                await self._pass([job])
            return
        self._metrics.network_seconds.observe(time.perf_counter() - started)
        self._metrics.batches.observe(_faces(batch))
        for job, answer in zip(batch, answers, strict=True):
            if not job.answer.done():  # whose request ran out of time
                job.answer.set_result(answer)


def _prepare(model: ServedModel, data: bytes, crop: Crop | None, max_pixels: int) -> Prepared:
    try:
        open_image(data, max_pixels=max_pixels)
    except ImageError as error:
        return Prepared(_NOTHING, problem=str(error))
    return model.predictor.prepare(data, crop=crop)


def _faces(batch: Sequence[_Job]) -> int:
    return sum(len(job.photo.pixels) for job in batch)
