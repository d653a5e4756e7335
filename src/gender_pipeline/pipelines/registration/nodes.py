"""Nodes that judge a candidate against thresholds and the champion, and propose it to the registry."""

from functools import partial
from typing import Any

import pandas as pd

from gender_pipeline.evaluation import EvaluationSettings, flat_metrics
from gender_pipeline.images.shards import ShardStore
from gender_pipeline.registration import (
    Champion,
    Proposal,
    RegistrationSettings,
    Verdict,
    judge_candidate,
    score_on_test,
    write_model_card,
)
from gender_pipeline.training import FeatureCache, TrainedModel


def score_champion(
    champion: Champion | None,
    model: TrainedModel,
    predictions: pd.DataFrame,
    *,
    image_shards: ShardStore,
    feature_cache: FeatureCache,
    evaluation: EvaluationSettings,
    registration: RegistrationSettings,
) -> dict[str, Any]:
    """Return how the production model does on the candidate's test photos; nothing where production is empty."""
    if champion is None:
        return {}
    score = partial(score_on_test, image_shards=image_shards, feature_cache=feature_cache)
    return score(champion, model, predictions, evaluation=evaluation, settings=registration)


def judge(
    model: TrainedModel,
    metrics: dict[str, Any],
    champion_score: dict[str, Any],
    *,
    validation_report: dict[str, Any],
    registration: RegistrationSettings,
) -> Verdict:
    """Return whether the candidate may be promoted, with every check."""
    candidate = partial(judge_candidate, flat_metrics(metrics), list(model.class_names))
    return candidate(champion_score, validation_report=validation_report, settings=registration)


def write_card(model: TrainedModel, metrics: dict[str, Any], verdict: Verdict, data_note: str) -> str:
    """Return the model card as Markdown."""
    return write_model_card(model.facts(), flat_metrics(metrics), verdict, data_note)


def propose(
    model: TrainedModel,
    verdict: Verdict,
    model_card: str,
    *,
    split_manifest: pd.DataFrame,
    metrics: dict[str, Any],
    registration: RegistrationSettings,
) -> Proposal:
    """Return what the registry is asked to take in."""
    flat = flat_metrics(metrics)
    return Proposal.of(model, verdict, model_card, split_manifest=split_manifest, metrics=flat, settings=registration)
