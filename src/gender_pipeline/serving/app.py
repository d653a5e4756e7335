"""The HTTP server: what it answers, and under which path."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Query
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import Request

from gender_pipeline import __version__
from gender_pipeline.export.predictor import NO_FACE, Crop, PhotoAnswer
from gender_pipeline.serving.answers import (
    DISCLAIMER,
    HeatMap,
    ModelDescription,
    Prediction,
    Refusal,
    describe,
    prediction,
)
from gender_pipeline.serving.batching import Batcher
from gender_pipeline.serving.guard import check_site, check_token
from gender_pipeline.serving.heat import heat_map
from gender_pipeline.serving.limits import Admission, RefusedError
from gender_pipeline.serving.models import ModelHolder, ServedModel
from gender_pipeline.serving.settings import ServeSettings
from gender_pipeline.serving.uploads import Upload, body_bytes, read_photos
from gender_pipeline.serving.watch import Watch

_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_PHOTOS: Final = {"type": "object", "properties": {"photos": {"type": "array", "items": _BINARY["schema"]}}}
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _PHOTOS},
            "image/*": _BINARY,
            "application/octet-stream": _BINARY,
        },
    }
}
_REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": Refusal, "description": "A token is needed."},
    403: {"model": Refusal, "description": "Another site's page asked, or the server was called by a foreign name."},
    408: {"model": Refusal, "description": "The request took too long to come."},
    413: {"model": Refusal, "description": "Too many bytes, files or pixels."},
    415: {"model": Refusal, "description": "Neither a form nor a photo."},
    422: {"model": Refusal, "description": "No photo, or the only one cannot be decoded."},
    503: {"model": Refusal, "description": "Too much to do, or the model is not loaded yet; see `Retry-After`."},
    504: {"model": Refusal, "description": "The answer took too long."},
}
CropQuery = Annotated[
    Crop | None, Query(description="`face` answers every face, `none` the photo as it is; else as the model wants it.")
]


def create_app(models: ModelHolder, settings: ServeSettings) -> FastAPI:
    """Make the server of a model.

    Args:
        models: Holds the version that answers; requests keep the one they began with.
        settings: Limits, token, batching.
    """
    desk = _Desk(models, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        working = asyncio.create_task(desk.batcher.run())
        yield
        working.cancel()
        desk.batcher.close()

    # /docs would load its scripts from another host.
    app = FastAPI(
        title="gender-pipeline",
        version=__version__,
        description=DISCLAIMER,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(desk.check_site)],
    )
    app.add_middleware(Watch, metrics=models.metrics)
    _answer_errors(app)
    _add_page(app)
    _add_health(app, models)
    _add_answers(app, desk)
    return app


class _Desk:
    """What handlers share."""

    def __init__(self, models: ModelHolder, settings: ServeSettings) -> None:
        self.models, self.settings = models, settings
        self.batcher = Batcher(settings, models.metrics)
        self.admission = Admission(settings)
        self.one_heat_map = asyncio.Semaphore(1)  # each is 65 photos through the network

    async def check_site(self, request: Request) -> None:
        check_site(request, self.settings)

    async def check_token(self, request: Request) -> None:
        check_token(request, self.settings)

    def model(self) -> ServedModel:
        """Return the version that answers.

        Raises:
            RefusedError: 503, there is none yet.
        """
        if self.models.current is None:
            raise RefusedError(503, "the model is not loaded yet", remedy="wait a second and ask again")
        return self.models.current

    @asynccontextmanager
    async def photos(self, request: Request) -> AsyncIterator[list[Upload]]:
        """Give a request's photos, admitted for the block, in which the answer is found in time."""
        limits, facts = self.settings, request.state.facts
        with self.admission.admit(body_bytes(request, limits)):
            try:
                async with asyncio.timeout(limits.upload_seconds):
                    uploads = await read_photos(request, limits)
            except TimeoutError as error:
                raise RefusedError(
                    408, "the request took too long to come", expected=f"at most {limits.upload_seconds} s"
                ) from error
            facts |= {"photos": len(uploads), "bytes": [len(upload.data) for upload in uploads]}
            try:
                async with asyncio.timeout(limits.answer_seconds):
                    yield uploads
            except TimeoutError as error:
                raise RefusedError(
                    504, "the answer took too long", expected=f"at most {limits.answer_seconds} s"
                ) from error


def _add_answers(app: FastAPI, desk: _Desk) -> None:
    protected: dict[str, Any] = {"dependencies": [Depends(desk.check_token)], "responses": _REFUSALS}
    metrics = desk.models.metrics

    @app.post("/predict", response_model=Prediction, openapi_extra=_BODY, **protected)
    async def predict(
        request: Request,
        crop: CropQuery = None,
        top: Annotated[int | None, Query(ge=1, description="Give the most probable classes only.")] = None,
    ) -> Prediction:
        """Answer photos. Among several, one that cannot be answered has a `problem`; alone it is refused."""
        model = desk.model()
        async with desk.photos(request) as uploads:
            answers = await asyncio.gather(*(desk.batcher.answer(model, upload.data, crop) for upload in uploads))
        _count(request, desk, model, answers)
        if len(answers) == 1:
            _check_decoded(answers[0].problem)
        return prediction(model, uploads, answers, top)

    @app.post("/heat-map", response_model=HeatMap, openapi_extra=_BODY, **protected)
    async def heat(
        request: Request,
        face: Annotated[int, Query(ge=0, description="Which face, the largest is 0.")] = 0,
        crop: CropQuery = None,
    ) -> HeatMap:
        """Show what the answer for a face, or for a photo as it is, hangs on."""
        model = desk.model()
        async with desk.photos(request) as uploads:
            photo = await desk.batcher.prepare(model, uploads[0].data, crop)
            _check_decoded(photo.problem)
            async with desk.one_heat_map:
                return await asyncio.to_thread(heat_map, model.predictor, photo, face)

    @app.get("/model", **protected)
    async def model() -> ModelDescription:
        """Say which model answers."""
        return describe(desk.model())

    @app.get("/metrics", response_class=Response, **protected)
    async def measured() -> Response:
        """Give counters and histograms in Prometheus' text format."""
        return Response(metrics.render(), media_type=metrics.content_type)


def _add_health(app: FastAPI, models: ModelHolder) -> None:
    @app.get("/healthz")
    async def alive() -> dict[str, str]:
        """Say that the process is alive."""
        return {"status": "alive"}

    @app.get("/readyz", responses={503: {"model": Refusal}})
    async def ready() -> dict[str, str]:
        """Say whether photos are answered: the model is loaded and warm."""
        if models.current is None:
            raise RefusedError(503, "the model is not loaded yet")
        return {"status": "ready"}


def _add_page(app: FastAPI) -> None:
    folder = Path(__file__).parent
    for path, name in (("/", "page.html"), ("/page.css", "page.css"), ("/page.js", "page.js")):
        app.add_api_route(path, lambda name=name: FileResponse(folder / name), include_in_schema=False)


def _answer_errors(app: FastAPI) -> None:
    """Let all errors have one form, and say nothing of the server's inside."""

    @app.exception_handler(RefusedError)
    def refused(_: Request, error: RefusedError) -> JSONResponse:
        return JSONResponse(error.body, error.status, error.headers)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return JSONResponse({"error": f"{first['loc'][-1]}: {first['msg']}"}, 422)

    @app.exception_handler(HTTPException)
    def other(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail).lower()}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    def broken(_: Request, error: Exception) -> JSONResponse:  # noqa: ARG001 uvicorn logs it
        return JSONResponse({"error": "the server failed"}, 500)


def _count(request: Request, desk: _Desk, model: ServedModel, answers: list[PhotoAnswer]) -> None:
    metrics, n_faces = desk.models.metrics, sum(len(answer.faces) for answer in answers)
    metrics.photos.inc(len(answers))
    metrics.faces.inc(n_faces)
    for answer in answers:
        if answer.problem:
            metrics.problems.labels(answer.problem.partition(":")[0]).inc()
    request.state.facts |= {"faces": n_faces, "model": model.name, "version": model.version}


def _check_decoded(problem: str | None) -> None:
    """Refuse a photo that cannot be decoded; one without a face can be answered so."""
    if problem is None or problem == NO_FACE:
        return
    raise RefusedError(
        413 if problem.startswith("too many pixels") else 422,
        "the photo cannot be decoded",
        expected="a whole JPEG, PNG, BMP or WebP image",
        received=problem,
    )
