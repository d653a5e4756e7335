"""The table of contents: every pipeline, in the order of the story."""

from kedro.pipeline import Pipeline

from gender_pipeline.pipelines import evaluation, manifest, registration, splitting, training, validation

CHAPTERS = {
    "manifest": manifest,
    "validation": validation,
    "splitting": splitting,
    "training": training,
    "evaluation": evaluation,
    "registration": registration,
}


def register_pipelines() -> dict[str, Pipeline]:
    """Return the chapters by name, and as `__default__` the whole story."""
    chapters = {name: chapter.create_pipeline() for name, chapter in CHAPTERS.items()}
    return {"__default__": sum(chapters.values(), Pipeline([])), **chapters}
