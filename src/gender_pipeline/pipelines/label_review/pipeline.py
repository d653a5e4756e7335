"""split manifest and features (cached) -> out-of-fold predictions -> suspected labels -> page to decide on."""

from kedro.pipeline import Node, Pipeline

from gender_pipeline.pipelines.label_review import nodes


def create_pipeline() -> Pipeline:
    """Wire the experiment; the backbone is that of `params:training`."""
    return Pipeline(
        [
            Node(
                nodes.predict_out_of_fold,
                {
                    "split_manifest": "split_manifest",
                    "recipe": "params:training",
                    "classes": "params:classes",
                    "image_shards": "image_shards",
                    "feature_cache": "feature_cache",
                    "label_review": "params:label_review",
                },
                "out_of_fold_predictions",
                name="predict_out_of_fold",
            ),
            Node(
                nodes.find_suspects,
                ["out_of_fold_predictions", "params:classes"],
                "suspected_labels",
                name="find_suspects",
            ),
            Node(
                nodes.write_review_page,
                ["suspected_labels", "image_shards", "params:label_review"],
                "label_review_page",
                name="write_review_page",
            ),
        ],
        tags="label_review",
    )
