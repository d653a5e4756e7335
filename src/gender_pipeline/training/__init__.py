"""Training: frozen features computed once (`features`), one engine for all (`engine`), the model (`trained_model`)."""

from gender_pipeline.training.devices import DeviceSettings
from gender_pipeline.training.engine import recipe_rows, train
from gender_pipeline.training.features import CachedFeatures, FeatureCache, ImageSource
from gender_pipeline.training.trained_model import TrainedModel, predict_photos

__all__ = [
    "CachedFeatures",
    "DeviceSettings",
    "FeatureCache",
    "ImageSource",
    "TrainedModel",
    "predict_photos",
    "recipe_rows",
    "train",
]
