"""split manifest and image shards -> features (cached) -> model and history."""

from kedro.pipeline import Node, Pipeline

from gender_pipeline.pipelines.training import nodes


def create_pipeline() -> Pipeline:
    """Wire the chapter; `params:training` is the recipe that `recipe` names."""
    return Pipeline(
        [
            Node(
                nodes.train_model,
                {
                    "split_manifest": "split_manifest",
                    "image_shards": "image_shards",
                    "feature_cache": "feature_cache",
                    "checkpoints": "checkpoints",
                    "devices": "params:devices",
                    "recipe": "params:training",
                    "classes": "params:classes",
                },
                ["model", "history"],
                name="train_model",
            ),
        ],
        tags="training",
    )
