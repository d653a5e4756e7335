"""split manifest and image shards -> one trained, tested and timed model a recipe -> table, picture and page."""

from kedro.pipeline import Node, Pipeline

from gender_pipeline.pipelines.comparison import nodes


def create_pipeline() -> Pipeline:
    """Wire the comparison of the recipes that `compared` names."""
    return Pipeline(
        [
            Node(
                nodes.compare_recipes,
                {
                    "split_manifest": "split_manifest",
                    "image_shards": "image_shards",
                    "feature_cache": "feature_cache",
                    "classes": "params:classes",
                    "evaluation": "params:evaluation",
                    "devices": "params:devices",
                    "settings": "params:comparison",
                },
                "comparison",
                name="compare_recipes",
            ),
            Node(
                nodes.present,
                ["comparison", "params:data_note"],
                ["comparison_pictures", "comparison_page"],
                name="present_comparison",
            ),
        ],
        tags="comparison",
    )
