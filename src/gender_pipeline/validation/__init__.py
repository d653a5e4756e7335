"""Which photos can be used, what they are together, and the gate that stops a run."""

from gender_pipeline.validation.expectations import run_expectations
from gender_pipeline.validation.gate import check_gate
from gender_pipeline.validation.quarantine import ValidationSettings, clean_manifest, find_quarantine

__all__ = ["ValidationSettings", "check_gate", "clean_manifest", "find_quarantine", "run_expectations"]
