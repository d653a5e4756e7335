"""Lets configuration name places inside the project, wherever the command was started."""

import logging

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from omegaconf import OmegaConf


class ProjectHooks:
    """Registers the resolver `${project:path}`: an absolute path inside the project."""

    # Before kedro-mlflow's own hook, which reads mlflow.yml.
    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Register the resolver for this project."""
        # The plug-in sets its own level to INFO when it is imported, whatever logging.yml says.
        logging.getLogger("kedro_mlflow").setLevel(logging.WARNING)
        root = context.project_path
        OmegaConf.register_new_resolver("project", lambda path: (root / path).as_posix(), replace=True)
