import pandas as pd

from gender_pipeline.hooks.description import Story, describe, photos_in_words

RECIPE = {"name": "tiny", "trainable": "head", "backbone": "vgg16", "weights": "imagenet", "image_size_px": 224}
PAGE = "#/experiments/1/runs/r"
TAGS = {"git.commit": "c" * 40, "git.dirty": "false"}
ACCURACY = {"value": 0.75, "low": 0.5, "high": 1.0}
METRICS = {"test": {"all": {"photos": 16, "subjects": 4, "metrics": {"accuracy": ACCURACY}}}}
ANSWER = {
    "name": "gender classifier",
    "version": "3",
    "aliases": ["production", "staging"],
    "passed": True,
    "reasons": [],
}


def story(**changes: object) -> Story:
    return Story(**{"recipe": RECIPE, "data_note": "Drawn faces.", "chapters": [], "confidence": 0.95, **changes})


def test_the_first_lines_say_how_good_the_model_is_and_what_became_of_it() -> None:
    lines = describe(story(metrics=METRICS, answer=ANSWER), PAGE, TAGS).splitlines()
    interval = "0.750 (0.500\N{EN DASH}1.000)"
    assert lines[0] == f"Test accuracy **{interval}**, 95 % interval over subjects, 16 photos of 4 subjects"
    version = "[gender classifier version 3](#/models/gender%20classifier/versions/3)"
    assert lines[2] == f"Gate **passed**: {version}, production and staging"
    assert lines[4] == "Recipe **tiny**: head trained on vgg16 (weights: imagenet), 224 px."


def test_a_version_that_was_not_promoted_comes_with_the_reasons() -> None:
    answer = {**ANSWER, "aliases": [], "passed": False, "reasons": ["test.f1: expected at least 1, received 0"]}
    text = describe(story(answer=answer), PAGE, TAGS)
    assert "Gate **not passed**: [gender" in text
    assert ", no alias" in text
    assert "\n- Not promoted: test.f1: expected at least 1, received 0" in text


def test_a_failed_run_says_first_what_failed_and_why() -> None:
    text = describe(story(failure="in pass_gate: DataValidationError: <b>few</b> photos"), PAGE, TAGS)
    assert text.startswith("**Failed** in pass_gate:\n\n```\nDataValidationError: <b>few</b> photos\n```\n\nRecipe")


def test_a_run_of_some_chapters_names_them() -> None:
    assert "Chapters search, evaluation only. Recipe" in describe(story(chapters=["search", "evaluation"]), PAGE, TAGS)


def test_what_is_there_is_linked_and_what_is_not_is_not_named() -> None:
    text = describe(story(artifacts={"model_card": "registration/model card.md", "metrics": "m.json"}), PAGE, TAGS)
    assert text.endswith("- Look at: [model card](#/experiments/1/runs/r/artifacts/registration/model%20card.md)")
    assert "Look at" not in describe(story(), PAGE, TAGS)


def test_the_commit_is_a_link_where_there_is_a_page_of_it() -> None:
    assert describe(story(), PAGE, TAGS).endswith("- Commit cccccccccc")
    known = {"git.url": "https://x.org/o/n/commit/c", "git.dirty": "true", "run.commit": "d" * 40}
    assert describe(story(), PAGE, TAGS | known).endswith(
        "- Commit [cccccccccc](https://x.org/o/n/commit/c) with uncommitted changes, "
        "kept as dddddddddd for `gender-pipeline reproduce`"
    )


def test_the_photos_are_counted_by_split_and_source() -> None:
    rows = [
        ("a", "train", "s1"),
        ("a", "train", "s1"),
        ("b", "train", "s2"),
        ("b", "test", "s3"),
        ("b", "excluded", "s4"),
    ]
    manifest = pd.DataFrame(rows, columns=["source", "split", "group"])
    expected = "Train: 3 photos of 2 subjects (a 2, b 1); Test: 1 photos of 1 subjects (b 1)"
    assert photos_in_words(manifest) == expected
