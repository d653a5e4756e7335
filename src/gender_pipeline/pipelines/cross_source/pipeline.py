"""split manifest and image shards -> one model a data set, tested on each -> matrix, picture and page."""

from kedro.pipeline import Node, Pipeline

from gender_pipeline.pipelines.cross_source import nodes


def create_pipeline() -> Pipeline:
    """Wire the cross-data-set evaluation of the recipe that `recipe` names."""
    return Pipeline(
        [
            Node(
                nodes.train_and_test,
                {
                    "split_manifest": "split_manifest",
                    "image_shards": "image_shards",
                    "feature_cache": "feature_cache",
                    "classes": "params:classes",
                    "evaluation": "params:evaluation",
                    "devices": "params:devices",
                    "recipe": "params:training",
                    "settings": "params:cross_source",
                },
                ["cross_source_cells", "cross_source_matrix"],
                name="train_and_test",
            ),
            Node(
                nodes.present,
                ["cross_source_cells", "params:training", "params:data_note"],
                ["cross_source_pictures", "cross_source_page"],
                name="present_cross_source",
            ),
        ],
        tags="cross_source",
    )
