"""Run all benchmarks, or those named: `python -m benchmarks ingest`."""

import sys
from importlib import import_module

BENCHMARKS = ["ingest", "growth", "splitting", "frozen_prefix", "search", "faces", "predict", "serving", "export"]


def main() -> None:
    """Call `run()` of each benchmark module; it measures and prints its table."""
    for name in sys.argv[1:] or BENCHMARKS:
        import_module(f"benchmarks.{name}").run()


if __name__ == "__main__":
    main()
