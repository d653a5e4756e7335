"""validated manifest -> split manifest -> audit."""

from kedro.pipeline import Node, Pipeline

from gender_pipeline.pipelines.splitting import nodes


def create_pipeline() -> Pipeline:
    """Wire the chapter; `previous_split` is the split manifest of the run before, where there was one."""
    return Pipeline(
        [
            Node(
                nodes.split_photos,
                ["validated_manifest", "previous_split", "params:splitting"],
                "split_manifest",
                name="split_photos",
            ),
            Node(nodes.prove_split, "split_manifest", "split_audit", name="audit_split"),
        ],
        tags="splitting",
    )
