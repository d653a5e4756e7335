"""The Kedro side: one package a chapter; `pipeline.py` only wires, `nodes.py` only calls the library."""
