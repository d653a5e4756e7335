"""Kedro's settings: the hooks, and how configuration merges."""

from gender_pipeline.hooks.capture import CaptureHooks
from gender_pipeline.hooks.life import LifeHooks
from gender_pipeline.hooks.mlflow_run import MlflowRun
from gender_pipeline.hooks.project import ProjectHooks, environment, select_recipe, select_recipes, unless_server
from gender_pipeline.hooks.summary import SummaryHooks
from gender_pipeline.hooks.tracking import TrackingHooks

# Called from the last to the first.
HOOKS = (SummaryHooks(), TrackingHooks(), CaptureHooks(), MlflowRun(), ProjectHooks(), LifeHooks())
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry", "kedro_mlflow")  # `MlflowRun` is the latter
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # An environment changes single keys of a block instead of replacing it.
    "merge_strategy": {"parameters": "soft"},
    "custom_resolvers": {
        "environment": environment,
        "select_recipe": select_recipe,
        "select_recipes": select_recipes,
        "unless_server": unless_server,
    },
}
