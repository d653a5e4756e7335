"""A candidate meets thresholds and the current champion; what passes is registered and promoted."""

from gender_pipeline.registration.card import write_model_card
from gender_pipeline.registration.gate import RegistrationSettings, Verdict, judge_candidate
from gender_pipeline.registration.proposal import Champion, Proposal, score_on_test

__all__ = [
    "Champion",
    "Proposal",
    "RegistrationSettings",
    "Verdict",
    "judge_candidate",
    "score_on_test",
    "write_model_card",
]
