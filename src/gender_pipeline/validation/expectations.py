"""The Great Expectations suites: one a source (`photos of celeba`) and one for the union (`all photos`).

Numbers that no column expectation of the manifest can see (coverage, balance, subjects a class, ...) stand in further
columns of the checked table, the same value in each row: so every suite is checked in one batch, and the Data Docs show
these numbers beside all others.
"""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from gender_pipeline.errors import DataValidationError, examples
from gender_pipeline.schema import MANIFEST_SCHEMA
from gender_pipeline.validation.data_docs import SITE, SITE_NAME, STYLES, STYLES_FILE, finish_pages
from gender_pipeline.validation.quarantine import KEY, NO_LABEL, ValidationSettings

ALL_PHOTOS: Final = "all photos"
# What splitting, training and evaluation take for granted.
NEVER_NULL: Final = (
    *("image_id", "source", "name", "subject_id", "label"),
    *("width_px", "height_px", "phash", "contrast", "grey", "publishable"),
)
# List columns are left out: their values have no one type to Great Expectations.
PANDAS_TYPES: Final = {
    pa.string(): "str",
    pa.float32(): "float32",
    pa.int32(): "int32",
    pa.bool_(): "bool",
    pa.binary(32): "bytes",
}


def run_expectations(
    manifest: pd.DataFrame, quarantine: pd.DataFrame, settings: ValidationSettings
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Check the photos that stay, source by source and all together; broken expectations raise nothing here.

    Args:
        manifest: The clean manifest, one row a photo, columns of `MANIFEST_SCHEMA`.
        quarantine: The quarantine table of the same run.
        settings: Thresholds.

    Returns:
        The report, which goes into JSON as it is and is the same for the same input: `success`, `classes` (photos by
        class) and `suites`, by name: `success`, `numbers` (see `summarise`), and `expectations`, each with
        `expectation` (its type), `column`, `success`, `observed`, `expected` (a sentence).
        The files of a Great Expectations project (path below its root -> content), to be opened with
        `great_expectations.get_context(context_root_dir=...)`; its pages are `data_docs/index.html` and below. They
        carry run times and random ids, and so differ from run to run.

    Raises:
        DataValidationError: There are no photos at all, neither clean nor quarantined.
    """
    if manifest.empty and quarantine.empty:
        raise DataValidationError(
            "the manifest is empty",
            expected=f"at least {settings.min_photos_total} photos",
            received="none",
            remedy="check the data sets and the raw root in conf/<env>/parameters/manifest.yml",
        )
    with tempfile.TemporaryDirectory(prefix="great_expectations_") as folder:
        context = _file_context(Path(folder))
        suites = {
            name: _run_suite(context, name, batch, settings) for name, batch in _batches(manifest, quarantine).items()
        }
        context.build_data_docs([SITE_NAME])
        files = _files(Path(context.root_directory))
    # The gate needs the absent classes too, so the settings say which classes are counted.
    photos = manifest["label"].value_counts()
    report = {
        "success": all(suite["success"] for suite in suites.values()),
        "classes": {name: int(photos.get(name, 0)) for name in settings.classes},
        "suites": suites,
    }
    return report, finish_pages(files, {name: suite["success"] for name, suite in suites.items()})


def summarise(manifest: pd.DataFrame, quarantine: pd.DataFrame, settings: ValidationSettings) -> dict[str, int | float]:
    """Count a source, or all photos.

    Returns:
        `photos` and `quarantined` (rows), `label_coverage`, `quarantine_share` (reasons other than a missing label),
        `smallest_class_share`, `mixed_label_share` (photos labelled otherwise than most photos of their subject), all
        in [0, 1], and `fewest_subjects_a_class`.
    """
    # A source whose photos are all quarantined still gets its numbers: hence max(1, ...), not a division by zero.
    total = max(1, len(manifest) + len(quarantine))
    unlabelled = int((quarantine["reason"] == NO_LABEL).sum())
    by_subject = manifest.groupby(["source", "subject_id", "label"]).size()
    by_class = by_subject.groupby("label").agg(["size", "sum"]).reindex(settings.classes, fill_value=0)
    majority = by_subject.groupby(["source", "subject_id"]).max().sum()
    return {
        "photos": len(manifest),
        "quarantined": len(quarantine),
        "label_coverage": 1 - unlabelled / total,
        "quarantine_share": (len(quarantine) - unlabelled) / total,
        "smallest_class_share": float(by_class["sum"].min() / max(1, len(manifest))),
        "mixed_label_share": float(1 - majority / max(1, len(manifest))),
        "fewest_subjects_a_class": int(by_class["size"].min()),
    }


def _batches(manifest: pd.DataFrame, quarantine: pd.DataFrame) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    sources = sorted({*manifest["source"], *quarantine["source"]})
    each = {
        f"photos of {source}": (manifest[manifest["source"] == source], quarantine[quarantine["source"] == source])
        for source in sources
    }
    return {**each, ALL_PHOTOS: (manifest, quarantine)}


def _file_context(folder: Path) -> Any:  # a FileDataContext; the package is not typed for us
    # At INFO it tells of each class it imports and each file it makes.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations as gx

    context = gx.get_context(mode="file", project_root_dir=folder)
    context.enable_analytics(False)
    context.variables.progress_bars = {"globally": False}
    context.variables.save()
    (Path(context.root_directory) / STYLES_FILE).write_text(STYLES)
    context.delete_data_docs_site("local_site")
    context.add_data_docs_site(SITE_NAME, SITE)
    context.data_sources.add_pandas("manifest")
    return context


def _run_suite(
    context: Any, name: str, photos: tuple[pd.DataFrame, pd.DataFrame], settings: ValidationSettings
) -> dict[str, Any]:
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier

    manifest, quarantine = photos
    # One checkpoint a suite: all definitions of a checkpoint get the same table.
    numbers = summarise(manifest, quarantine, settings)
    expectations = [*_row_expectations(settings), *_set_expectations(settings, union=name == ALL_PHOTOS)]
    suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
    asset = context.data_sources.get("manifest").add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe("photos that stay")
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
    checkpoint = context.checkpoints.add(gx.Checkpoint(name=name, validation_definitions=[definition]))
    result = checkpoint.run(
        batch_parameters={"dataframe": manifest.assign(**numbers)}, run_id=RunIdentifier(run_name="validation")
    )
    (validated,) = result.run_results.values()
    results = validated.to_json_dict()["results"]
    return {"success": bool(validated.success), "numbers": numbers, "expectations": [*map(_entry, results)]}


def _row_expectations(settings: ValidationSettings) -> Iterator[Any]:
    """What each photo must be, whatever the others are."""
    import great_expectations.expectations as gxe

    yield gxe.ExpectTableColumnsToMatchSet(
        column_set=MANIFEST_SCHEMA.names, exact_match=False, description="all columns of the manifest are there"
    )
    for field in MANIFEST_SCHEMA:
        if type_ := PANDAS_TYPES.get(field.type):
            yield gxe.ExpectColumnValuesToBeOfType(
                column=field.name, type_=type_, description=f"{field.name} is of type {type_}"
            )
    for column in NEVER_NULL:
        yield gxe.ExpectColumnValuesToNotBeNull(column=column, description=f"every photo has {column}")
    yield gxe.ExpectColumnValuesToBeNull(column="problem", description="no photo with a known problem stays")
    yield gxe.ExpectColumnValuesToMatchRegex(
        column="image_id", regex="^[0-9a-f]{64}$", description="image_id is a sha256 in 64 hex digits"
    )
    sides, ages = (settings.min_side_px, settings.max_side_px), (settings.min_age_years, settings.max_age_years)
    for column, (low, high) in {"width_px": sides, "height_px": sides, "age_years": ages, "contrast": (0, 128)}.items():
        yield gxe.ExpectColumnValuesToBeBetween(
            column=column, min_value=low, max_value=high, description=f"{column} is in {low:g} to {high:g} where known"
        )


def _set_expectations(settings: ValidationSettings, *, union: bool) -> Iterator[Any]:
    """What the photos must be together."""
    import great_expectations.expectations as gxe

    n_photos, threshold = (
        (settings.min_photos_total, "min_photos_total") if union else (settings.min_photos, "min_photos")
    )
    yield gxe.ExpectTableRowCountToBeBetween(
        min_value=n_photos, description=f"at least {n_photos} photos stay ({threshold})"
    )
    yield gxe.ExpectColumnValuesToBeUnique(column="image_id", description="every image occurs once")
    yield gxe.ExpectCompoundColumnsToBeUnique(column_list=KEY, description="source and name together name one photo")
    yield gxe.ExpectColumnDistinctValuesToEqualSet(
        column="label", value_set=[*settings.classes], description=f"the classes are {', '.join(settings.classes)}"
    )
    for column, key, text in (
        ("label_coverage", "min_label_coverage", "of the photos have a label"),
        ("smallest_class_share", "min_class_share", "of the photos are of the rarest class"),
        ("fewest_subjects_a_class", "min_subjects_a_class", "subjects are in each class"),
    ):
        least = getattr(settings, key)
        yield gxe.ExpectColumnMinToBeBetween(
            column=column, min_value=least, description=f"at least {least:g} {text} ({key})"
        )
    for column, key, text in (
        ("quarantine_share", "max_quarantine_share", "of the photos are quarantined for more than a missing label"),
        ("mixed_label_share", "max_mixed_label_share", "of the photos are labelled otherwise than their subject"),
    ):
        most = getattr(settings, key)
        yield gxe.ExpectColumnMaxToBeBetween(
            column=column, max_value=most, description=f"at most {most:g} {text} ({key})"
        )


def _files(folder: Path) -> dict[str, bytes]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _entry(result: dict[str, Any]) -> dict[str, Any]:
    """Reduce one result of Great Expectations to what a reader of the report needs."""
    config = result["expectation_config"]
    return {
        "expectation": config["type"],
        "column": config["kwargs"].get("column"),
        "success": result["success"],
        "observed": _observed(result["result"]),
        "expected": config["description"],
    }


def _observed(result: dict[str, Any]) -> Any:
    if missing := result.get("details", {}).get("mismatched", {}).get("missing"):
        return f"missing {examples(missing)}"
    if "unexpected_count" not in result:
        observed = result.get("observed_value", "nothing: it could not be checked")
        return observed.item() if hasattr(observed, "item") else observed
    found = {"such as": result.get("partial_unexpected_list"), "missing": result.get("partial_missing_list")}
    texts = [f"{result['unexpected_count']} unexpected"]
    return ", ".join(texts + [f"{what} {examples(values)}" for what, values in found.items() if values])
