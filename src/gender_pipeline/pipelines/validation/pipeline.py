"""manifest -> quarantine and report -> gate -> validated manifest."""

from kedro.pipeline import Node, Pipeline

from gender_pipeline.pipelines.validation import nodes


def create_pipeline() -> Pipeline:
    """Wire the chapter; the gate comes after the report is saved."""
    return Pipeline(
        [
            Node(
                nodes.quarantine_photos,
                ["manifest", "params:validation"],
                ["clean_manifest", "quarantine"],
                name="quarantine_photos",
            ),
            Node(
                nodes.check_expectations,
                ["clean_manifest", "quarantine", "params:validation"],
                ["validation_report", "data_docs"],
                name="check_expectations",
            ),
            Node(
                nodes.pass_gate,
                ["clean_manifest", "validation_report", "params:validation"],
                "validated_manifest",
                name="pass_validation_gate",
            ),
        ],
        tags="validation",
    )
