"""The gate: the run stops here, after the report is saved, where the photos break a threshold."""

from collections.abc import Mapping
from typing import Any, Final

from gender_pipeline.errors import DataValidationError, examples
from gender_pipeline.validation.quarantine import ValidationSettings

WHERE: Final = (
    "look at the quarantine table and the Data Docs (data_docs/index.html); "
    "mend the data, or the thresholds in conf/<env>/parameters/validation.yml"
)


def check_gate(report: Mapping[str, Any], settings: ValidationSettings) -> None:
    """Do nothing where all expectations hold.

    Args:
        report: What `run_expectations` reported.
        settings: The settings it was made with.

    Raises:
        DataValidationError: An expectation is broken; the message names at most five, or, before all others, that
            fewer than two classes are left.
    """
    n_photos = {name: report["classes"].get(name, 0) for name in settings.classes}
    if sum(n > 0 for n in n_photos.values()) < 2:
        raise DataValidationError(
            "there is nothing to tell apart: fewer than two classes have photos that stay",
            expected=f"photos of {' and '.join(settings.classes)}",
            received=examples(f"{n} {name}" for name, n in n_photos.items()),
            remedy=WHERE,
        )
    checked = [(suite, entry) for suite, result in report["suites"].items() for entry in result["expectations"]]
    broken = [(suite, entry) for suite, entry in checked if not entry["success"]]
    if broken:
        raise DataValidationError(
            f"{len(broken)} of {len(checked)} expectations are broken",
            expected=examples(f"[{suite}: {entry['expected']}]" for suite, entry in broken),
            received=examples(f"[{entry['column'] or 'table'}: {_short(entry['observed'])}]" for _, entry in broken),
            remedy=WHERE,
        )


def _short(observed: object) -> str:
    return f"{observed:.4g}" if isinstance(observed, float) else str(observed)
