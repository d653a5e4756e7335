"""validated manifest and image shards -> one model a fold, tested on it -> mean and standard deviation."""

from kedro.pipeline import Node, Pipeline

from gender_pipeline.pipelines.folds import nodes


def create_pipeline() -> Pipeline:
    """Wire the folds; it starts before the split, because every fold is a split of its own."""
    return Pipeline(
        [
            Node(
                nodes.measure_folds,
                {
                    "validated_manifest": "validated_manifest",
                    "image_shards": "image_shards",
                    "feature_cache": "feature_cache",
                    "recipe": "params:training",
                    "classes": "params:classes",
                    "splitting": "params:splitting",
                    "evaluation": "params:evaluation",
                },
                "fold_results",
                name="measure_folds",
            ),
            Node(
                nodes.summarise,
                ["fold_results", "params:training"],
                ["fold_summary", "fold_report"],
                name="summarise_folds",
            ),
        ],
        tags="folds",
    )
