"""model in production -> files for other runtimes -> comparison -> gate -> files to copy."""

from kedro.pipeline import Node, Pipeline

from gender_pipeline.pipelines.export import nodes


def create_pipeline() -> Pipeline:
    """Wire the export; the gate comes after the comparison is saved."""
    return Pipeline(
        [
            Node(
                nodes.write_files,
                {
                    "production_model": "production_model",
                    "split_manifest": "split_manifest",
                    "image_shards": "image_shards",
                    "export": "params:export",
                },
                "export_candidate",
                name="write_exports",
            ),
            Node(
                nodes.compare_files,
                {
                    "production_model": "production_model",
                    "export_candidate": "export_candidate",
                    "split_manifest": "split_manifest",
                    "image_shards": "image_shards",
                    "export": "params:export",
                },
                "export_comparison",
                name="compare_exports",
            ),
            Node(nodes.present, ["export_comparison", "params:data_note"], "export_page", name="present_exports"),
            Node(
                nodes.pass_gate,
                ["export_candidate", "export_comparison", "export_page", "params:export"],
                "exported_model",
                name="pass_export_gate",
            ),
        ],
        tags="export",
    )
