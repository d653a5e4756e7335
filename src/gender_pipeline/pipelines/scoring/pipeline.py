"""photos and the model in production -> scores."""

from kedro.pipeline import Node, Pipeline

from gender_pipeline.pipelines.scoring import nodes


def create_pipeline() -> Pipeline:
    """Wire the pipeline."""
    return Pipeline(
        [
            Node(
                nodes.score_photos,
                ["production_model", "photos_to_score", "params:scoring"],
                ["scores", "scoring_counts"],
                name="score_photos",
            ),
        ],
        tags="scoring",
    )
