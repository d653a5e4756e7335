"""Servers in this process."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from io import StringIO

import pytest
from fastapi.testclient import TestClient

from gender_pipeline.export.predictor import Network
from gender_pipeline.serving.app import create_app
from gender_pipeline.serving.logs import JsonLines
from gender_pipeline.serving.models import ModelHolder
from gender_pipeline.serving.settings import ServeSettings
from lamp_models import Serve, by_light, served


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers: `serve(network, **settings)` gives a client of a ready one."""
    with ExitStack() as running:

        def start(network: Network = by_light, models: ModelHolder | None = None, **settings: object) -> TestClient:
            if models is None:
                models = ModelHolder(lambda _: served(network=network))
                models.load_first()
            app = create_app(models, ServeSettings(**settings))
            return running.enter_context(TestClient(app, raise_server_exceptions=False))

        yield start


@pytest.fixture
def json_log() -> Iterator[StringIO]:
    """Collect what is logged, as lines of JSON."""
    logger, lines = logging.getLogger("gender_pipeline.serving"), StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonLines())
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture
def client(serve: Serve) -> TestClient:
    return serve()
