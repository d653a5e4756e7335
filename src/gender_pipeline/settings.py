"""Kedro's settings: hooks in calling order, how configuration merges, and no usage statistics sent anywhere."""

import os

from gender_pipeline.hooks.project import ProjectHooks, select_recipe, select_recipes
from gender_pipeline.hooks.summary import SummaryHooks
from gender_pipeline.hooks.tracking import TrackingHooks

# MLflow and DVC read these when they are imported, which is later than this module.
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("DVC_NO_ANALYTICS", "1")
os.environ.setdefault("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "2")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

HOOKS = (ProjectHooks(), TrackingHooks(), SummaryHooks())
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry",)
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # An environment changes single keys of a block instead of replacing it.
    "merge_strategy": {"parameters": "soft"},
    "custom_resolvers": {"select_recipe": select_recipe, "select_recipes": select_recipes},
}
