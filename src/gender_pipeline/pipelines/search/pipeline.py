"""split manifest and image shards -> trials, and the best model and its history in place of the training chapter's."""

from kedro.pipeline import Node, Pipeline

from gender_pipeline.pipelines.search import nodes


def create_pipeline() -> Pipeline:
    """Wire the search; `kedro run --pipelines search,evaluation,registration` evaluates and registers the best."""
    return Pipeline(
        [
            Node(
                nodes.search_settings,
                {
                    "split_manifest": "split_manifest",
                    "image_shards": "image_shards",
                    "feature_cache": "feature_cache",
                    "devices": "params:devices",
                    "recipe": "params:training",
                    "classes": "params:classes",
                    "settings": "params:search",
                },
                ["trials", "trial_curves", "search_result"],
                name="search_settings",
            ),
            Node(nodes.keep_best, "search_result", ["model", "history"], name="keep_best"),
        ],
        tags="search",
    )
