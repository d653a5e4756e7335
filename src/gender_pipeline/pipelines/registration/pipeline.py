"""metrics and champion -> verdict -> registered, gated and promoted model version."""

from kedro.pipeline import Node, Pipeline

from gender_pipeline.pipelines.registration import nodes


def create_pipeline() -> Pipeline:
    """Wire the chapter; saving `registered_model` is what talks to the registry."""
    return Pipeline(
        [
            Node(
                nodes.score_champion,
                {
                    "champion": "champion",
                    "model": "model",
                    "predictions": "predictions",
                    "image_shards": "image_shards",
                    "feature_cache": "feature_cache",
                    "evaluation": "params:evaluation",
                    "registration": "params:registration",
                },
                "champion_score",
                name="score_champion",
            ),
            Node(
                nodes.judge,
                {
                    "model": "model",
                    "metrics": "metrics",
                    "champion_score": "champion_score",
                    "validation_report": "validation_report",
                    "registration": "params:registration",
                },
                "verdict",
                name="judge_candidate",
            ),
            Node(
                nodes.write_card,
                ["model", "metrics", "verdict", "params:data_note"],
                "model_card",
                name="write_model_card",
            ),
            Node(
                nodes.propose,
                {
                    "model": "model",
                    "verdict": "verdict",
                    "model_card": "model_card",
                    "split_manifest": "split_manifest",
                    "metrics": "metrics",
                    "registration": "params:registration",
                },
                "registered_model",
                name="register_model",
            ),
        ],
        tags="registration",
    )
