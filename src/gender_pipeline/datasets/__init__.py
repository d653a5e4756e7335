"""Kedro data sets of this project: files and folders written atomically, and the MLflow model registry."""

from gender_pipeline.datasets.local import FileDataset, FolderDataset
from gender_pipeline.datasets.registry import ChampionDataset, ProductionDataset, RegistryDataset

__all__ = ["ChampionDataset", "FileDataset", "FolderDataset", "ProductionDataset", "RegistryDataset"]
