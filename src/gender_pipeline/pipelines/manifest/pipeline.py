"""raw archives -> image shards; image shards and label corrections -> manifest."""

from kedro.pipeline import Node, Pipeline

from gender_pipeline.pipelines.manifest import nodes


def create_pipeline() -> Pipeline:
    """Wire the chapter."""
    return Pipeline(
        [
            Node(nodes.draw_sample, "params:sample", "raw_archives", name="draw_sample"),
            Node(
                nodes.ingest_photos,
                ["raw_archives", "params:sources", "params:images"],
                "image_shards",
                name="ingest_photos",
            ),
            Node(
                nodes.list_photos,
                ["image_shards", "label_corrections", "params:classes"],
                "manifest",
                name="list_photos",
            ),
        ],
        tags="manifest",
    )
