import html
import json
import logging
import re
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd
import pytest

from gender_pipeline.errors import DataValidationError
from gender_pipeline.validation import (
    ValidationSettings,
    check_gate,
    clean_manifest,
    find_quarantine,
    run_expectations,
)
from gender_pipeline.validation.expectations import summarise

SETTINGS = ValidationSettings(min_photos=10, min_photos_total=30, min_subjects_a_class=3)
SUITES = ["photos of celeba", "photos of v1.2 <muct>", "all photos"]


def run(manifest: pd.DataFrame, settings: ValidationSettings = SETTINGS) -> tuple[dict[str, Any], dict[str, bytes]]:
    quarantine = find_quarantine(manifest, settings)
    return run_expectations(clean_manifest(manifest, quarantine), quarantine, settings)


def broken(report: dict[str, Any], suite: str) -> dict[str, Any]:
    """Return what was observed, by the setting in brackets, or the sentence, of each broken expectation."""
    entries = [entry for entry in report["suites"][suite]["expectations"] if not entry["success"]]
    return {re.sub(r".*\((\w+)\)$", r"\1", entry["expected"]): entry["observed"] for entry in entries}


@pytest.fixture(scope="module")
def two_sources(make_manifest: Any) -> pd.DataFrame:
    """Forty photos, two of them bad; a source's name may hold a dot, a space and what HTML would take for a tag."""
    manifest = make_manifest([{"source": "celeba" if number % 40 < 20 else "v1.2 <muct>"} for number in range(40)])
    return manifest.assign(
        label=manifest["label"].where(manifest.index != 3),
        problem=manifest["problem"].where(manifest.index != 4, "blank"),
    )


@pytest.fixture(scope="module")
def passed(two_sources: pd.DataFrame) -> tuple[dict[str, Any], dict[str, bytes]]:
    return run(two_sources)


def test_good_photos_pass_source_by_source_and_all_together(passed: Any) -> None:
    report, _ = passed
    assert list(report["suites"]) == SUITES
    assert [broken(report, suite) for suite in SUITES] == [{}, {}, {}]
    assert report["success"]
    assert report["classes"] == {"female": 19, "male": 19}
    check_gate(report, SETTINGS)


def test_the_report_is_json_and_the_same_for_the_same_photos(passed: Any, two_sources: pd.DataFrame) -> None:
    before = two_sources.copy()
    report, _ = run(two_sources)
    assert json.dumps(report, allow_nan=False) == json.dumps(passed[0])
    pd.testing.assert_frame_equal(two_sources, before)


def test_the_files_are_a_project_that_great_expectations_opens(passed: Any, tmp_path: Path) -> None:
    import great_expectations as gx

    for name, content in passed[1].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    context = gx.get_context(mode="file", context_root_dir=tmp_path)
    assert {suite.name for suite in context.suites.all()} == set(SUITES)
    assert context.variables.config.analytics_enabled is False


def test_the_index_of_the_data_docs_lists_every_suite_without_a_network(passed: Any) -> None:
    index = passed[1]["data_docs/index.html"].decode()
    table = index[index.index("<th>Expectation suite</th>") : index.index("</table>")]
    links = re.findall(r'<a href="([^"]+)">([^<]+)</a></td><td class="text-success">passed', table)
    assert [name for _, name in links] == ["photos of celeba", "photos of v1.2 &lt;muct&gt;", "all photos"]
    assert all(f"data_docs/{unquote(link)}" in passed[1] for link, _ in links)


def test_the_pages_hold_no_beacon_no_moving_pictures_and_no_path_of_this_machine(passed: Any) -> None:
    pages = {name: content for name, content in passed[1].items() if name.endswith(".html")}
    assert len(pages) == 8
    assert not any(b"dataContextId" in content for content in pages.values())
    assert not any(tempfile.gettempdir().encode() + b"/" in content for content in passed[1].values())
    assert not any(name.endswith(".gif") or name.startswith("/") for name in passed[1])


def test_great_expectations_is_quiet(two_sources: pd.DataFrame, capfd: Any, caplog: Any) -> None:
    with caplog.at_level(logging.INFO):
        run(two_sources)
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.levelno < logging.WARNING]


def test_every_threshold_can_break(make_manifest: Any) -> None:
    same_subject = [{"subject_id": "x"}] * 12
    manifest = make_manifest([*same_subject, {"label": None}, {"problem": "blank"}])
    settings = ValidationSettings(
        min_photos=13,
        min_photos_total=14,
        min_class_share=0.5,
        min_subjects_a_class=2,
        min_label_coverage=0.95,
        max_quarantine_share=0.05,
        max_mixed_label_share=0.4,
    )
    report, _ = run(manifest.drop(index=0), settings)
    numbers = {
        "min_class_share": pytest.approx(5 / 11),
        "min_subjects_a_class": 1,
        "min_label_coverage": pytest.approx(12 / 13),
        "max_quarantine_share": pytest.approx(1 / 13),
        "max_mixed_label_share": pytest.approx(5 / 11),
    }
    assert broken(report, "photos of celeba") == {"min_photos": 11, **numbers}
    assert broken(report, "all photos") == {"min_photos_total": 11, **numbers}
    with pytest.raises(DataValidationError, match=r"^12 of 84 expectations are broken"):
        check_gate(report, settings)


def test_a_manifest_that_was_not_cleaned_is_seen(make_manifest: Any) -> None:
    manifest = make_manifest([{"source": "celeba"}] * 20).drop(columns="grey")
    manifest.loc[:3, ["label", "age_years", "width_px", "problem"]] = ["other", 500.0, 1, "blank"]
    manifest.loc[:1, "image_id"] = "x"
    report, _ = run_expectations(manifest, find_quarantine(make_manifest(0), SETTINGS), SETTINGS)
    found = broken(report, "all photos")
    assert found["all columns of the manifest are there"] == "missing grey"
    assert found["every photo has grey"] == "nothing: it could not be checked"
    assert found["every image occurs once"] == "2 unexpected, such as x, x"
    assert found["the classes are female, male"] == "1 unexpected, such as other"
    assert found["no photo with a known problem stays"].startswith("4 unexpected, such as blank")
    assert found["age_years is in 0 to 120 where known"].startswith("4 unexpected, such as 500")


def test_a_source_without_any_good_photo_keeps_its_suite_and_breaks_it(make_manifest: Any) -> None:
    manifest = make_manifest([{"source": "celeba"}] * 30 + [{"source": "muct", "problem": "blank"}] * 3)
    report, _ = run(manifest)
    assert broken(report, "photos of celeba") == {}
    assert broken(report, "photos of muct")["min_photos"] == 0
    assert report["suites"]["photos of muct"]["numbers"]["quarantine_share"] == 1
    assert not report["success"]


def test_one_class_only_is_stopped_at_the_gate(make_manifest: Any) -> None:
    report, _ = run(make_manifest(40, label="female"))
    assert broken(report, "all photos")["the classes are female, male"] == "0 unexpected, missing male"
    with pytest.raises(DataValidationError, match="received 40 female, 0 male"):
        check_gate(report, SETTINGS)


def test_no_photos_at_all_are_an_error(make_manifest: Any) -> None:
    with pytest.raises(DataValidationError, match="the manifest is empty; expected at least 30 photos; received none"):
        run(make_manifest(0))


def test_the_numbers_of_a_source_are_these(make_manifest: Any) -> None:
    labels = ["female", "female", "male", "male", "male", None, "male", "male"]
    manifest = make_manifest([{"label": label} for label in labels]).assign(
        subject_id=["a", "a", "a", "b", "b", "b", "c", "c"], problem=[*[None] * 7, "blank"]
    )
    quarantine = find_quarantine(manifest, SETTINGS)
    assert summarise(clean_manifest(manifest, quarantine), quarantine, SETTINGS) == {
        "photos": 6,
        "quarantined": 2,
        "label_coverage": 7 / 8,
        "quarantine_share": 1 / 8,
        "smallest_class_share": pytest.approx(2 / 6),
        "mixed_label_share": pytest.approx(1 / 6),
        "fewest_subjects_a_class": 1,
    }


def test_one_page_holds_the_results_of_all_suites_by_itself(passed: Any) -> None:
    page = passed[1]["data_docs/data_docs.html"].decode()
    names = re.findall(r'<summary>([^<]+): <span class="text-success">passed</span></summary>', page)
    assert names == ["photos of celeba", "photos of v1.2 &lt;muct&gt;", "all photos"]
    frames = re.findall(r'<iframe loading="lazy" srcdoc="([^"]+)"></iframe>', page)
    assert [html.unescape(frame).lstrip().startswith("<!DOCTYPE html>") for frame in frames] == [True] * 3
    # Folded where there is nothing to see.
    assert "<details open>" not in page
