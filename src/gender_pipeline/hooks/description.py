"""The description of a run in the MLflow UI: in words what was trained on what, how good it is, and where to look."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from gender_pipeline.evaluation.slices import OVERALL, interval_text
from gender_pipeline.schema import TEST, TRAIN

_WAY: Final = "\n\n## Where it comes from\n\n"
# Data sets a reviewer opens first, with the words for them.
_PAGES: Final = {
    "evaluation_report": "evaluation report",
    "model_card": "model card",
    "data_docs": "Data Docs",
    "quarantine": "quarantined photos",
    "split_audit": "audit of the split",
    "trials": "trials",
    "comparison_page": "comparison",
    "cross_source_page": "matrix of data sets",
    "fold_report": "folds",
}


@dataclass
class Story:
    """What is known of a run by now.

    Attributes:
        recipe: The recipe, plain.
        data_note: One sentence on the data.
        chapters: Names of the pipelines, empty for the whole story.
        confidence: Of the intervals, in (0, 1).
        photos: Train and test photos in words.
        metrics: The metrics tree, see `evaluation.measure`.
        answer: What the registry said of the model.
        children: How many child runs there are, and what each is, in words.
        artifacts: Data set -> path of its artifact.
        failure: What failed, with the reason.
    """

    recipe: Mapping[str, Any]
    data_note: str
    chapters: list[str]
    confidence: float
    photos: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    answer: Mapping[str, Any] = field(default_factory=dict)
    children: str = ""
    artifacts: dict[str, str] = field(default_factory=dict)
    failure: str = ""


def describe(story: Story, run_page: str, tags: Mapping[str, str]) -> str:
    """Return the description as Markdown.

    Args:
        story: The run so far.
        run_page: Address of the run's page in the UI, to which the artifacts' pages are relative.
        tags: The run's tags.
    """
    # The UI shows the first lines, and the others on request.
    outcome = "\n\n".join(filter(None, [_failure(story.failure), _result(story), _registered(story.answer)]))
    facts = [story.photos, story.data_note, *(f"Not promoted: {reason}" for reason in story.answer.get("reasons", []))]
    links = [
        f"[{words}]({run_page}/artifacts/{path})"
        for name, words in _PAGES.items()
        if (path := story.artifacts.get(name, "").replace(" ", "%20"))
    ]
    facts += [story.children, _origin(tags), f"Look at: {', '.join(links)}" if links else ""]
    return "\n\n".join([*filter(None, [outcome, _task(story)]), "\n".join(f"- {fact}" for fact in facts if fact)])


def describe_version(card: str, run_name: str, run_page: str, tags: Mapping[str, str]) -> str:
    """Return the description of a version: its model card, and the way to the run and the commit it comes from.

    Args:
        card: Markdown; where the way stands in it already, it is replaced.
        run_name: Name of the run that made it.
        run_page: Address of the run's page in the UI.
        tags: The run's tags.
    """
    report = f"[evaluation report]({run_page}/artifacts/evaluation/report.html)"
    way = f"- Run [{run_name}]({run_page}), its {report}\n- {_origin(tags)}\n"
    return f"{card.partition(_WAY)[0].rstrip()}{_WAY}{way}"


def photos_in_words(split_manifest: pd.DataFrame) -> str:
    """Return what was for training and what for the test: `Train: 20 photos of 9 subjects (a 12, b 8); Test: ...`."""
    parts = []
    for split in (TRAIN, TEST):
        rows = split_manifest[split_manifest["split"] == split]
        sources = ", ".join(f"{source} {count}" for source, count in rows["source"].value_counts(sort=False).items())
        parts.append(f"{split.capitalize()}: {len(rows)} photos of {rows['group'].nunique()} subjects ({sources})")
    return "; ".join(parts)


def _task(story: Story) -> str:
    recipe = story.recipe
    network = f"{recipe['backbone']} (weights: {recipe['weights']}), {recipe['image_size_px']} px"
    chapters = f"Chapters {', '.join(story.chapters)} only. " if story.chapters else ""
    trained = ", ".join(recipe["trainable"]) if isinstance(recipe["trainable"], list) else recipe["trainable"]
    return f"{chapters}Recipe **{recipe['name']}**: {trained} trained on {network}."


def _failure(failure: str) -> str:
    place, _, reason = failure.partition(": ")
    # As code, for a message is not Markdown; the UI wraps no code.
    reason = textwrap.fill(reason, 100)
    return f"**Failed** {place}:\n\n```\n{reason}\n```" if failure else ""


def _result(story: Story) -> str:
    if not story.metrics:
        return ""
    split = TEST if TEST in story.metrics else list(story.metrics)[-1]
    part = story.metrics[split][OVERALL]
    return (
        f"{split.capitalize()} accuracy **{interval_text(part['metrics']['accuracy'])}**, "
        f"{story.confidence * 100:g} % interval over subjects, {part['photos']} photos of {part['subjects']} subjects"
    )


def _registered(answer: Mapping[str, Any]) -> str:
    if not answer:
        return ""
    name, number = answer["name"], answer["version"]
    gate = "passed" if answer["passed"] else "not passed"
    aliases = f", {' and '.join(answer['aliases'])}" if answer["aliases"] else ", no alias"
    version = f"[{name} version {number}](#/models/{name.replace(' ', '%20')}/versions/{number})"
    return f"Gate **{gate}**: {version}{aliases}"


def _origin(tags: Mapping[str, str]) -> str:
    commit = tags.get("git.commit", "unknown")
    link = f"[{commit[:10]}]({tags['git.url']})" if "git.url" in tags else commit[:10]
    dirty = " with uncommitted changes" if tags.get("git.dirty") == "true" else ""
    kept = f", kept as {tags['run.commit'][:10]} for `gender-pipeline reproduce`" if "run.commit" in tags else ""
    return f"Commit {link}{dirty}{kept}"
