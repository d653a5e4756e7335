"""What can go wrong, one class a chapter; every message says what was expected, what was received and what to do."""


class GenderPipelineError(Exception):
    """Base of all errors a user can cause and mend.

    Args:
        problem: What is wrong, naming the thing.
        expected: What would have been right.
        received: What was there instead; at most five examples.
        remedy: What the user can do.
    """

    def __init__(self, problem: str, *, expected: str = "", received: str = "", remedy: str = "") -> None:
        parts = [problem, expected and f"expected {expected}", received and f"received {received}", remedy]
        super().__init__("; ".join(part.replace("\n", " ") for part in parts if part))


class SettingsError(GenderPipelineError):
    """A parameter is missing, misspelt or out of range."""


class SourceError(GenderPipelineError):
    """A raw archive or table cannot be read as its data set's layout."""


class ManifestError(GenderPipelineError):
    """The corrections of labels cannot be read, or contradict each other or the classes."""


class ImageError(GenderPipelineError):
    """An image or an image shard cannot be read."""


class DataValidationError(GenderPipelineError):
    """The photos break the thresholds of the validation gate."""


class SplittingError(GenderPipelineError):
    """The photos cannot be split as configured."""


class ZooError(GenderPipelineError):
    """A backbone or its weights cannot be had."""


class TrainingError(GenderPipelineError):
    """Features cannot be computed or a model cannot be trained."""


class EvaluationError(GenderPipelineError):
    """Predictions cannot be measured."""


class RegistrationError(GenderPipelineError):
    """A model cannot be registered, moved or found."""


class TrackingError(GenderPipelineError):
    """The MLflow server cannot be reached."""


class ReproductionError(GenderPipelineError):
    """A run cannot be captured or run again."""


class UpkeepError(GenderPipelineError):
    """Something cannot be removed, or nobody can say whether it may be."""


class ScheduleError(GenderPipelineError):
    """A scheduled run cannot be written, installed or removed."""


class RunError(GenderPipelineError):
    """A run cannot begin where another one is going on."""


class NothingToDoError(GenderPipelineError):
    """No failure: a run would repeat the last one. `kedro run` says so and ends with 0."""


class ExportError(GenderPipelineError):
    """A trained model cannot be written or read back."""


class ServingError(GenderPipelineError):
    """The server cannot start."""


def examples(values: object, limit: int = 5) -> str:
    """Join at most `limit` of the values for an error message, and count the rest."""
    items = [str(value) for value in values]  # type: ignore[attr-defined]
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more
