"""The commands on registered models, on a registry of bare versions."""

import mlflow
import pytest
from click.testing import CliRunner

from gender_pipeline.__main__ import main
from gender_pipeline.commands import registry
from gender_pipeline.registration import mlflow_moves

NAME = "gender-classifier"


@pytest.fixture
def call(server, monkeypatch):
    """Call a command on a registry with versions 1 to 3, of which the last failed its gate."""
    monkeypatch.setattr(registry, "connect", lambda: server)
    monkeypatch.setattr(mlflow_moves, "PAUSE_S", 0.0)
    client = mlflow.MlflowClient()
    client.create_registered_model(NAME)
    for gate in ("passed", "passed", "failed"):
        tags = {"gate": gate, "reproducible": "true", "run.commit": "a" * 40, "test.accuracy": "0.9000"}
        client.create_model_version(NAME, str(server), tags=tags)

    def invoke(*words: str, code: int = 0) -> str:
        answer = CliRunner().invoke(main, list(words))
        assert answer.exit_code == code, answer.output
        return answer.output

    return invoke


@pytest.mark.parametrize("command", ["models", "promote", "rollback", "moves", "delete-version"])
def test_every_command_has_help_with_an_example(command) -> None:
    answer = CliRunner().invoke(main, [command, "--help"])
    assert answer.exit_code == 0
    assert f"Example: gender-pipeline {command}" in " ".join(answer.output.split())


def test_a_version_goes_to_production_and_back(call) -> None:
    assert call("promote", "1", "--to", "staging") == "gender-classifier version 1 now holds staging\n"
    call("promote", "@staging", "--to", "production")
    call("promote", "2", "--to", "staging")
    assert call("promote", "2", "--to", "production", "--why", "better on glasses", "--by", "ada")
    assert call("promote", "2", "--to", "production") == "gender-classifier version 2 already held production\n"
    said = call("rollback", "--by", "bob", "--why", "worse in the dark")
    assert said == "gender-classifier version 1 now holds production, taken from version 2\n"
    *_, promoted, back = call("moves").splitlines()
    assert promoted.split()[1:6] == ["production", "2", "1", "ada", "better"]
    assert back.split()[1:7] == ["production", "1", "2", "bob", "worse", "in"]
    header, _, second, first = call("models").splitlines()
    assert header.split() == [
        *("version", "aliases", "accuracy", "f1", "roc_auc", "gate", "reproducible", "recipe", "commit", "data"),
        "created",
    ]
    assert second.split()[:4] == ["2", "previous,", "staging", "0.9000"]
    assert first.split()[:4] == ["1", "production", "0.9000", "passed"]


def test_what_is_refused_is_one_line_and_ends_with_one(call) -> None:
    call("promote", "1", "--to", "staging")
    for words, said in (
        (("promote", "3", "--to", "staging"), "version 3 cannot be promoted; expected a version that passed its gate"),
        (("promote", "2", "--to", "production"), "version 2 cannot go to 'production' at once"),
        (("promote", "9", "--to", "staging"), "has no version 9"),
        (("rollback",), "has no version to go back to"),
        (("delete-version", "@staging"), "version 1 cannot be deleted"),
        (("models", "--name", "nobody"), "no model named 'nobody'"),
        (("moves", "--name", "nobody"), "no move of a model named 'nobody'"),
    ):
        output = call(*words, code=1)
        assert output.startswith("Error: ")
        assert said in output
        assert output.count("\n") == 1


def test_wrong_use_ends_with_two(call) -> None:
    call("promote", "1", code=2)
    call("promote", "1", "--to", "previous", code=2)


def test_a_version_without_an_alias_can_be_deleted(call) -> None:
    assert call("delete-version", "3").startswith("gender-classifier version 3 deleted")
    assert len(call("models").splitlines()) == 3
