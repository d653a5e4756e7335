"""The table of contents: every pipeline, in the order of the story."""

from kedro.pipeline import Pipeline

from gender_pipeline.pipelines import (
    comparison,
    cross_source,
    evaluation,
    export,
    folds,
    label_review,
    manifest,
    registration,
    scoring,
    search,
    splitting,
    training,
    validation,
)

CHAPTERS = {
    "manifest": manifest,
    "validation": validation,
    "splitting": splitting,
    "training": training,
    "evaluation": evaluation,
    "registration": registration,
}
# Beside the story: they train several models, ask people, or put the model in production to work.
EXPERIMENTS = {
    "search": search,
    "comparison": comparison,
    "cross_source": cross_source,
    "folds": folds,
    "label_review": label_review,
    "export": export,
    "scoring": scoring,
}


def register_pipelines() -> dict[str, Pipeline]:
    """Return the chapters by name, as `__default__` the whole story, and the experiments by name."""
    chapters = {name: chapter.create_pipeline() for name, chapter in CHAPTERS.items()}
    experiments = {name: experiment.create_pipeline() for name, experiment in EXPERIMENTS.items()}
    return {"__default__": sum(chapters.values(), Pipeline([])), **chapters, **experiments}
