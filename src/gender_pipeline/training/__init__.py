"""Training: frozen features computed once (`features`), one engine for all (`engine`), the model (`trained_model`)."""

from gender_pipeline.training.engine import train
from gender_pipeline.training.features import CachedFeatures, FeatureCache, ImageSource
from gender_pipeline.training.trained_model import TrainedModel, predict_photos

__all__ = ["CachedFeatures", "FeatureCache", "ImageSource", "TrainedModel", "predict_photos", "train"]
