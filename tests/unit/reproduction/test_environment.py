import sys
from pathlib import Path

import pytest

from gender_pipeline.errors import ReproductionError
from gender_pipeline.reproduction.environment import (
    check_environment,
    differing_packages,
    environment_variables,
    installed_versions,
    python_for,
)

LOCK = """\
numpy==2.4.1 \\
    --hash=sha256:aa
    # via pandas
pywin32==311 ; sys_platform == 'win32' \\
    --hash=sha256:bb
Typing_Extensions==4.15.0 \\
    --hash=sha256:cc
"""


def test_only_packages_for_this_platform_in_another_version_differ() -> None:
    assert differing_packages(LOCK, {"numpy": "2.4.1", "typing-extensions": "4.15.0"}) == {}
    assert differing_packages(LOCK, {"numpy": "2.3.0"}) == {"numpy==2.4.1": "2.3.0", "Typing_Extensions==4.15.0": ""}


def test_the_projects_own_lock_file_is_satisfied_here() -> None:
    project = Path(__file__).parents[3]
    check_environment(project)


def test_the_present_interpreter_serves_where_its_packages_are_the_locked_ones(tmp_path) -> None:
    lock = tmp_path / "requirements" / "lock.txt"
    lock.parent.mkdir()
    lock.write_text(f"click=={installed_versions()['click']} \\\n    --hash=sha256:aa\n")
    assert python_for(tmp_path, tmp_path / "environments") == Path(sys.executable)


def test_an_environment_that_cannot_be_made_is_an_error_and_leaves_none(tmp_path) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "lock.txt").write_text("click==0.0.1 \\\n    --hash=sha256:aa\n")
    with pytest.raises(ReproductionError, match="locked packages of the commit cannot be installed"):
        python_for(tmp_path, tmp_path / "environments")
    assert not list((tmp_path / "environments").glob("*/.ready"))


def test_a_commit_without_locked_requirements_is_an_error(tmp_path) -> None:
    with pytest.raises(ReproductionError, match=r"lock.txt is missing; name a commit"):
        python_for(tmp_path, tmp_path)


def test_the_trees_own_code_comes_first(tmp_path) -> None:
    variables = environment_variables(tmp_path, Path("/env/bin/python"))
    assert variables["PYTHONPATH"] == str(tmp_path / "src")
    assert variables["PATH"].startswith("/env/bin:")


def test_a_run_with_other_packages_than_the_locked_ones_is_named_and_missing_ones_do_not_matter(tmp_path) -> None:
    lock = tmp_path / "requirements" / "lock.txt"
    lock.parent.mkdir()
    lock.write_text("not-installed==1.0 \\\n    --hash=sha256:aa\n")
    check_environment(tmp_path)
    lock.write_text("click==0.0.1 \\\n    --hash=sha256:aa\n")
    with pytest.raises(ReproductionError, match=r"are not the locked ones; .*received click==0.0.1 is \d.*make setup"):
        check_environment(tmp_path)
