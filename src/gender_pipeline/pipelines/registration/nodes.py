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
    predictions: pd.DataFrame,
    *,
    image_shards: ShardStore,
    feature_cache: FeatureCache,
    evaluation: EvaluationSettings,
) -> dict[str, Any]:
    """Return the production model's accuracy on the candidate's test photos; nothing where production is empty."""
    if champion is None:
        return {}
    score = partial(score_on_test, image_shards=image_shards, feature_cache=feature_cache)
    return score(champion, predictions, crops=evaluation.test_crops)


def judge(
    model: TrainedModel,
    metrics: dict[str, Any],
    champion_score: dict[str, Any],
    registration: RegistrationSettings,
) -> Verdict:
    """Return whether the candidate may be promoted, with every check."""
    return judge_candidate(flat_metrics(metrics), list(model.class_names), champion_score, registration)


def write_card(model: TrainedModel, metrics: dict[str, Any], verdict: Verdict, data_note: str) -> str:
    """Return the model card as Markdown."""
    return write_model_card(model.facts(), flat_metrics(metrics), verdict, data_note)


def propose(
    model: TrainedModel,
    verdict: Verdict,
    model_card: str,
    split_manifest: pd.DataFrame,
    registration: RegistrationSettings,
) -> Proposal:
    """Return what the registry is asked to take in."""
    return Proposal.of(model, verdict, model_card, split_manifest, registration)
