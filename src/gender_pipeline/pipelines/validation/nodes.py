"""Nodes that check photos, report, and stop the run where thresholds are broken."""

from typing import Any

import pandas as pd

from gender_pipeline.validation import (
    ValidationSettings,
    check_gate,
    clean_manifest,
    find_quarantine,
    run_expectations,
)


def quarantine_photos(manifest: pd.DataFrame, validation: ValidationSettings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (photos that stay, quarantine table with a reason each)."""
    quarantine = find_quarantine(manifest, validation)
    return clean_manifest(manifest, quarantine), quarantine


def check_expectations(
    clean: pd.DataFrame, quarantine: pd.DataFrame, validation: ValidationSettings
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return (report, Great Expectations project with Data Docs as path -> bytes)."""
    return run_expectations(clean, quarantine, validation)


def pass_gate(clean: pd.DataFrame, validation_report: dict[str, Any], validation: ValidationSettings) -> pd.DataFrame:
    """Return the photos unchanged, or raise where the report breaks a threshold."""
    check_gate(validation_report, validation)
    return clean
