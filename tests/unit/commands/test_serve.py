"""`gender-pipeline serve`: what is refused before anything is loaded. The running command: tests/servers."""

import pytest
from click.testing import CliRunner

from gender_pipeline.__main__ import main
from gender_pipeline.commands.serve import TOKEN_VARIABLE


@pytest.mark.parametrize(
    ("options", "variables", "message"),
    [
        (["--host", "0.0.0.0"], {}, "give a token"),  # noqa: S104
        (["--host", "photos.example.org"], {}, "give a token"),
        ([], {TOKEN_VARIABLE: "short"}, "at least 16 ASCII characters"),
        ([], {TOKEN_VARIABLE: ""}, "at least 16 ASCII characters"),
        (["--max-batch", "0"], {}, "--max-batch"),
        (["--model", "no model"], {}, "neither NAME@ALIAS nor"),
        (["--token-file", "absent"], {}, "--token-file"),
    ],
)
def test_wrong_use_ends_with_two(options: list[str], variables: dict[str, str], message: str) -> None:
    answer = CliRunner().invoke(main, ["serve", *options], env=variables)
    assert answer.exit_code == 2
    assert message in answer.output


def test_help_has_an_example() -> None:
    assert "Example: gender-pipeline serve" in CliRunner().invoke(main, ["serve", "--help"]).output


def test_an_address_that_is_not_ours_is_one_line(tmp_path) -> None:
    options = ["--host", "192.0.2.1", "--insecure", "--model", str(tmp_path)]
    answer = CliRunner().invoke(main, ["serve", *options])
    assert (answer.exit_code, answer.stderr.count("\n")) == (1, 1)
    assert "cannot listen on 192.0.2.1 port 8080" in answer.stderr
