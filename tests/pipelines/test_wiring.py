import ast
import inspect
from pathlib import Path

import pytest
import yaml
from kedro.config import OmegaConfigLoader
from kedro.validation.exceptions import ParameterValidationError
from kedro.validation.parameter_validator import ParameterValidator

from gender_pipeline.errors import SettingsError
from gender_pipeline.hooks.project import ProjectHooks
from gender_pipeline.pipeline_registry import EXPERIMENTS, register_pipelines
from gender_pipeline.settings import CONFIG_LOADER_ARGS

PROJECT = Path(__file__).parents[2]
PIPELINES = register_pipelines()
NAMED = {name: pipeline for name, pipeline in PIPELINES.items() if name != "__default__"}
CHAPTERS = {name: pipeline for name, pipeline in NAMED.items() if name not in EXPERIMENTS}
NODES = [node for pipeline in NAMED.values() for node in pipeline.nodes]
USED = {name for pipeline in NAMED.values() for name in pipeline.datasets()}


def configuration(env: str = "local", **runtime_params) -> OmegaConfigLoader:
    return OmegaConfigLoader(str(PROJECT / "conf"), env=env, runtime_params=runtime_params, **CONFIG_LOADER_ARGS)


def parameters(env: str = "local", **runtime_params) -> dict:
    raw = configuration(env, **runtime_params)["parameters"]
    return ParameterValidator(PIPELINES).validate_raw_params(raw)


CATALOG = configuration()["catalog"]


def test_the_default_pipeline_is_all_chapters() -> None:
    assert set(PIPELINES["__default__"].nodes) == {node for pipeline in CHAPTERS.values() for node in pipeline.nodes}


@pytest.mark.parametrize("chapter", NAMED)
def test_nodes_are_named_and_tagged_with_their_chapter(chapter) -> None:
    for node in NAMED[chapter].nodes:
        assert node._name, "a node without a name"
        assert node.tags == {chapter}
        assert node.func.__module__ == f"gender_pipeline.pipelines.{chapter}.nodes"


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_node_functions_have_at_most_ten_lines(node) -> None:
    function = ast.parse(inspect.getsource(node.func)).body[0]
    body = function.body[1:]
    assert body[-1].end_lineno - body[0].lineno + 1 <= 10


def test_every_stored_data_set_is_used_and_has_a_layer() -> None:
    for name, entry in CATALOG.items():
        assert name in USED
        assert entry["metadata"]["kedro-viz"]["layer"]


@pytest.mark.parametrize("env", ["local", "smoke", "real"])
def test_every_environment_fills_every_typed_block(env) -> None:
    typed = parameters(env)
    wanted = {name.removeprefix("params:") for name in USED if name.startswith("params:")}
    assert wanted <= set(typed)


def test_runtime_parameters_change_one_setting() -> None:
    assert parameters(registration={"promote": "manual"})["registration"].promote == "manual"


@pytest.mark.parametrize(("block", "key"), [("training", "epoch"), ("splitting", "sed"), ("sources", "dta_sets")])
def test_a_misspelt_key_is_an_error_before_any_node_runs(block, key) -> None:
    with pytest.raises(ParameterValidationError, match=rf"(?s){block}.*{key}"):
        parameters(**{block: {key: 1}})


def test_a_recipe_is_selected_then_changed_and_never_the_other_way_round() -> None:
    typed = parameters(recipe="quickstart", training={"seed": 7})
    assert (typed["training"].name, typed["training"].seed) == ("quickstart", 7)
    mixed = {"params:recipe": "other", "params:training.name": "quickstart"}
    with pytest.raises(SettingsError, match="`training` is quickstart; expected other, which `recipe` asks for"):
        ProjectHooks().after_catalog_created(mixed)


def mlflow_settings(project: Path) -> tuple[str, str | None]:
    class Context:
        project_path = project

    ProjectHooks().after_context_created(Context())
    loader = configuration()
    loader.config_patterns["mlflow"] = ["mlflow*"]
    config = loader["mlflow"]
    kwargs = config["tracking"]["experiment"]["create_experiment_kwargs"]
    return config["server"]["mlflow_tracking_uri"], kwargs["artifact_location"]


@pytest.mark.parametrize("variable", [None, ""])
def test_mlflow_has_an_absolute_database_inside_the_project(tmp_path, monkeypatch, variable) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if variable is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", variable)
    assert mlflow_settings(tmp_path) == (f"sqlite:///{tmp_path}/mlruns/mlflow.db", f"{tmp_path}/mlruns/artifacts")


@pytest.mark.parametrize(
    ("uri", "artifacts"),
    [("http://mlflow.example.org:5000", None), ("https://team:x@host/mlflow", None), ("sqlite:////other.db", "own")],
)
def test_the_environment_names_a_server_which_chooses_the_place_of_artifacts(
    tmp_path, monkeypatch, uri, artifacts
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert mlflow_settings(tmp_path) == (uri, artifacts and f"{tmp_path}/mlruns/artifacts")


# DVC sees chapters. The cache, a chapter's own earlier output, and Data Docs (they carry times) are not in its graph.
STAGES = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
OUTSIDE_DVC = {"feature_cache", "checkpoints", "previous_split", "data_docs"}


def paths(entries: list, *, data_only: bool = False) -> set[str]:
    found = {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}
    return {path for path in found if not path.startswith("src/")} if data_only else found


def files(names: set[str]) -> set[str]:
    stored = {name for name in names if name in CATALOG} - OUTSIDE_DVC
    return {CATALOG[name]["filepath"] for name in stored}


def test_dvc_has_at_most_five_stages_each_one_chapter() -> None:
    assert len(STAGES) <= 5
    assert {name: stage["cmd"] for name, stage in STAGES.items()} == {
        name: f"kedro run --pipelines {name}" for name in CHAPTERS if name != "registration"
    }


@pytest.mark.parametrize("chapter", STAGES)
def test_dvc_stages_have_the_chapters_free_inputs_and_outputs(chapter) -> None:
    stage, pipeline = STAGES[chapter], CHAPTERS[chapter]
    assert paths(stage["deps"], data_only=True) == files(pipeline.inputs())
    outs = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
    assert paths(outs) == files(pipeline.all_outputs())


@pytest.mark.parametrize("chapter", STAGES)
def test_dvc_stages_name_files_that_exist(chapter) -> None:
    stage = STAGES[chapter]
    sources = paths(stage["deps"]) - paths(stage["deps"], data_only=True)
    for path in sources | paths(stage["params"]):
        assert (PROJECT / path).exists(), path
