"""Photos as bytes: checked (`checks`), decoded (`decode`) and stored in Parquet shards (`shards`)."""
