"""The model registry as data sets: the champion to load, a proposal to save."""

import json
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from gender_pipeline.files import write_text
from gender_pipeline.registration import Champion, Proposal
from gender_pipeline.registration.mlflow_models import FetchedModel


class ChampionDataset(AbstractDataset[None, Champion | None]):
    """The version that holds `production`; None where there is none.

    Args:
        model_name: Name in the model registry.
        metadata: Free-form.
    """

    def __init__(self, *, model_name: str, metadata: dict[str, Any] | None = None) -> None:
        self.model_name = model_name
        self.metadata = metadata or {}

    def load(self) -> Champion | None:
        """Fetch the champion's files and load it."""
        from gender_pipeline.registration.mlflow_client import load_champion

        return load_champion(self.model_name)

    def save(self, data: None) -> None:
        """Refuse: a champion is made by promotion."""
        raise NotImplementedError("the champion is read-only; save a proposal to `registered_model`")

    def _describe(self) -> dict[str, Any]:
        return {"model_name": self.model_name}


class ProductionDataset(AbstractDataset[None, FetchedModel]):
    """The files of the version that holds `production`.

    Args:
        model_name: Name in the model registry.
        filepath: Folder that keeps the versions fetched last.
        metadata: Free-form.
    """

    def __init__(self, *, model_name: str, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self.model_name = model_name
        self.path = Path(filepath)
        self.metadata = metadata or {}

    def load(self) -> FetchedModel:
        """Fetch the version's files; RegistrationError where nothing holds `production`."""
        from gender_pipeline.registration.mlflow_models import fetch_model

        return fetch_model(self.model_name, "@production", self.path)

    def save(self, data: None) -> None:
        """Refuse: production is a matter of promotion."""
        raise NotImplementedError("the production model is read-only; promote a version instead")

    def _describe(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "filepath": str(self.path)}


class RegistryDataset(AbstractDataset[Proposal, dict[str, Any]]):
    """Saving a proposal registers it; loading gives what the registry answered the last time.

    Args:
        filepath: JSON file that keeps the answer.
        metadata: Free-form.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self.path = Path(filepath)
        self.metadata = metadata or {}

    def load(self) -> dict[str, Any]:
        """Read the last answer."""
        return dict(json.loads(self.path.read_text("utf-8")))

    def save(self, data: Proposal) -> None:
        """Register the proposal and keep the answer."""
        from gender_pipeline.registration.mlflow_client import register

        write_text(self.path, json.dumps(register(data), indent=1))

    def _exists(self) -> bool:
        return self.path.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self.path)}
