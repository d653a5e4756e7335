"""The summary at the end of a run: what went in, how good it is, who holds which alias, where to look next."""

import time
from collections import defaultdict
from typing import Any, Final

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Node, Pipeline
from rich.console import Console
from rich.table import Table

from gender_pipeline.evaluation.slices import interval_text
from gender_pipeline.splitting import stratification_error

# What to open after a run beside the story.
_PAGES: Final = frozenset(
    {"trials", "comparison_page", "cross_source_page", "fold_report", "label_review_page", "export_page"}
)


class SummaryHooks:
    """Measures the seconds a chapter and prints the summary where the run got as far as registration."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._mark = 0.0
        self._root = ""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the project is."""
        self._root = str(context.project_path)

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Start the clock."""
        self._seconds.clear()
        self._mark = time.perf_counter()

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Add the time since the last node ended, loading and saving included, to the node's chapter."""
        now = time.perf_counter()
        self._seconds[next(iter(node.tags), node.name)] += now - self._mark
        self._mark = now

    # Before `MlflowRun` ends the run, so that the seconds can still be logged to it.
    @hook_impl(tryfirst=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Log the seconds a chapter; print the summary of a run that registered a model."""
        import mlflow

        if mlflow.active_run() is not None:
            mlflow.log_metrics({f"seconds/{chapter}": value for chapter, value in self._seconds.items()})
        if "registered_model" in pipeline.all_outputs():
            self._print(catalog)
        for name in _PAGES & pipeline.all_outputs():
            Console(highlight=False, soft_wrap=True).print(f"Open          {_path(catalog, name)}")

    def _print(self, catalog: CatalogProtocol[Any, Any]) -> None:
        console = Console(highlight=False, soft_wrap=True)
        console.rule("Summary")
        audit, quarantine = catalog.load("split_audit"), catalog.load("quarantine")
        console.print(_photos(audit))
        error = stratification_error(catalog.load("split_manifest"))
        console.print(f"Split         no subject in two splits; class shares within {error:.1%} of the whole")
        console.print(f"Data          {catalog.load('params:data_note')}")
        console.print(f"Quarantined   {_counts(quarantine['reason'])}")
        console.print(_accuracy(catalog.load("metrics"), catalog.load("params:evaluation").confidence))
        for line in _version_lines(catalog.load("registered_model")):
            console.print(line)
        console.print("Seconds       " + ", ".join(f"{name} {value:.1f}" for name, value in self._seconds.items()))
        console.print(f"Report        {_path(catalog, 'evaluation_report')}")
        console.print(f"Data Docs     {_path(catalog, 'data_docs')}/data_docs/index.html")
        console.print(f"MLflow UI     {_ui(self._root)}")


def _ui(project: str) -> str:
    import mlflow

    server = mlflow.get_tracking_uri()
    local = f"make ui   (in {project}), then http://127.0.0.1:5000"
    return str(server) if server.startswith("http") else local


def _photos(audit: Any) -> Table:
    """Return the table of photos and subjects by source and split."""
    counts = audit.groupby(["source", "split"], observed=True)[["photos", "subjects"]].sum()
    table = Table("source", "split", "photos", "subjects", title="Photos by source and split")
    for (source, split), row in counts.iterrows():
        table.add_row(str(source), str(split), str(row["photos"]), str(row["subjects"]))
    return table


def _counts(reasons: Any) -> str:
    if reasons.empty:
        return "none"
    return f"{len(reasons)}: " + ", ".join(f"{count} {reason}" for reason, count in reasons.value_counts().items())


def _accuracy(metrics: dict[str, Any], confidence: float) -> str:
    """Return the line on the test photos, or on the last split measured where there are none."""
    split = "test" if "test" in metrics else list(metrics)[-1]
    accuracy = interval_text(metrics[split]["all"]["metrics"]["accuracy"])
    return f"{split.capitalize()} accuracy {accuracy}, {confidence * 100:g} % interval over subjects"


def _version_lines(version: dict[str, Any]) -> list[str]:
    aliases = ", ".join(version["aliases"]) or "none"
    lines = [f"Model         {version['name']} version {version['version']}, alias {aliases}"]
    lines += [f"Not promoted  {reason}" for reason in version["reasons"]]
    if not version["reproducible"]:
        lines.append("Not reproducible: the commit is unknown or the tree has uncommitted changes")
    return lines


def _path(catalog: CatalogProtocol[Any, Any], name: str) -> str:
    dataset: Any = catalog.get(name)
    return str(dataset.path)
