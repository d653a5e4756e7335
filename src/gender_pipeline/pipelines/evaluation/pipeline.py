"""model -> predictions -> metrics -> pictures and report."""

from kedro.pipeline import Node, Pipeline

from gender_pipeline.pipelines.evaluation import nodes


def create_pipeline() -> Pipeline:
    """Wire the chapter."""
    return Pipeline(
        [
            Node(
                nodes.predict_split,
                {
                    "model": "model",
                    "split_manifest": "split_manifest",
                    "image_shards": "image_shards",
                    "feature_cache": "feature_cache",
                    "evaluation": "params:evaluation",
                },
                "predictions",
                name="predict_photos",
            ),
            Node(nodes.measure, ["predictions", "params:evaluation"], "metrics", name="measure_predictions"),
            Node(nodes.draw_pictures, ["predictions", "metrics", "history"], "pictures", name="draw_pictures"),
            Node(
                nodes.write_report,
                {
                    "metrics": "metrics",
                    "pictures": "pictures",
                    "split_audit": "split_audit",
                    "quarantine": "quarantine",
                    "model": "model",
                    "evaluation": "params:evaluation",
                    "data_note": "params:data_note",
                },
                "evaluation_report",
                name="write_report",
            ),
        ],
        tags="evaluation",
    )
