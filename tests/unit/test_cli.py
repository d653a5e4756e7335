import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gender_pipeline.__main__ import main
from gender_pipeline.errors import NothingToDoError, SourceError

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", ["sample", "models", "accept-corrections"])
def test_every_command_has_help_with_an_example(command) -> None:
    answer = CliRunner().invoke(main, [command, "--help"])
    assert answer.exit_code == 0
    assert f"Example: gender-pipeline {command}" in answer.output


def test_help_imports_no_heavy_package() -> None:
    code = (
        "import sys, gender_pipeline.__main__ as door\n"
        "heavy = {'kedro', 'mlflow', 'tensorflow', 'keras', 'pandas', 'numpy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_wrong_use_ends_with_two(tmp_path) -> None:
    assert CliRunner().invoke(main, ["sample", "--subjects", "0", str(tmp_path)]).exit_code == 2
    assert CliRunner().invoke(main, ["sampel"]).exit_code == 2


def test_sample_draws_archives(tmp_path) -> None:
    answer = CliRunner().invoke(main, ["sample", "--subjects", "9", str(tmp_path / "raw")])
    assert answer.exit_code == 0, answer.output
    assert (tmp_path / "raw" / "celeba" / "img_align_celeba.zip").is_file()


def test_accepted_corrections_come_into_the_table(tmp_path) -> None:
    reviewed, table = tmp_path / "accepted.csv", tmp_path / "corrections.csv"
    reviewed.write_text(f"image_id,suggested_label,accept\n{'a' * 64},male,yes\n")
    command = ["accept-corrections", "--table", str(table), "--reviewer", "ada", str(reviewed)]
    answer = CliRunner().invoke(main, command)
    assert (answer.exit_code, answer.output) == (0, f"1 label corrections added to {table}\n")
    assert table.read_text() == f"image_id,label,reviewer,note\n{'a' * 64},male,ada,\n"
    reviewed.write_text("image_id\n")
    answer = CliRunner().invoke(main, command)
    assert (answer.exit_code, answer.output.count("\n")) == (1, 1)
    assert CliRunner().invoke(main, ["accept-corrections", str(tmp_path / "absent.csv")]).exit_code == 2


def test_failed_work_ends_with_one_and_one_line(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(main, ["models"])
    assert answer.exit_code == 1
    # Kedro, where it is imported for the first time, says where its logging is configured.
    assert answer.stderr.splitlines()[-1].startswith("Error: this is not a gender_pipeline project; expected ")
    assert "Traceback" not in answer.output


def test_kedro_run_shows_our_errors_in_one_line_whatever_wrapped_them() -> None:
    from gender_pipeline.cli import _in_one_line

    def fail() -> None:
        try:
            raise SourceError("no archive", expected="one", received="none", remedy="get it")
        except SourceError as error:
            raise RuntimeError("Failed while loading data") from error

    with pytest.raises(click.ClickException, match="no archive; expected one; received none; get it"):
        _in_one_line(fail)()


def test_kedro_run_with_nothing_to_do_says_so_and_succeeds(capsys) -> None:
    from gender_pipeline.cli import _in_one_line

    def fail() -> None:
        raise NothingToDoError("nothing to do: all as before")

    assert _in_one_line(fail)() is None
    assert capsys.readouterr().out == "nothing to do: all as before\n"


@pytest.mark.parametrize(("interrupt", "message"), [(("stopped by SIGTERM",), "stopped by SIGTERM"), ((), "stopped")])
def test_kedro_run_that_is_stopped_is_one_line(interrupt, message) -> None:
    from gender_pipeline.cli import _in_one_line

    def stop() -> None:
        raise KeyboardInterrupt(*interrupt)

    with pytest.raises(click.ClickException, match=f"^{message}$"):
        _in_one_line(stop)()


def test_kedro_run_leaves_other_errors_as_they_are() -> None:
    from gender_pipeline.cli import _in_one_line

    def fail() -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        _in_one_line(fail)()


def test_an_unknown_recipe_is_one_line() -> None:
    environment = os.environ | {"DO_NOT_TRACK": "true"}
    command = [sys.executable, "-m", "kedro", "run", "--params", "recipe=quikstart"]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "quikstart" in done.stderr
    assert "quickstart" in done.stderr.replace("quikstart", "")
    assert "Traceback" not in done.stderr
