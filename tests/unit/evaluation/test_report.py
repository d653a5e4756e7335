import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from gender_pipeline.evaluation import EvaluationSettings, measure, write_report
from gender_pipeline.evaluation.report import CAPTIONS
from prediction_tables import predicted_photos, random_predictions

FAST = EvaluationSettings(n_bootstrap=100)
PREDICTIONS = random_predictions(1200, source="celeba", photos_each=2)
AUDIT = pd.DataFrame(
    {
        "source": ["celeba", "celeba"],
        "label": ["male", "male"],
        "split": ["train", "excluded"],
        "photos": [1234, 1],
        "subjects": [617, 1],
        "groups": [617, 1],
        "share": [0.9992, 0.0008],
        "reason": ["", "near-duplicate in train"],
    }
)
QUARANTINE = pd.DataFrame(
    {
        "source": ["celeba", "celeba", "muct"],
        "name": ["secret_name.jpg"] * 3,
        "image_id": ["0" * 64] * 3,
        "reason": ["duplicate", "duplicate", "truncated"],
        "detail": ["of secret_name.jpg"] * 3,
    }
)
FACTS = {"recipe": "quickstart", "weights digest": "ab" * 32, "data": "The photos are drawn."}
HOSTILE = "<script>alert('x')</script>\"{{ 7 * 7 }}"


class Page(HTMLParser):
    """Collects the tags of a page with their attributes, and the text of each element that holds text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(" ".join(data.split()))

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def report(**changes: object) -> str:
    given = {"metrics": measure(PREDICTIONS, FAST), "pictures": dict.fromkeys(CAPTIONS, b"PNG")}
    return write_report(**{**given, "audit": AUDIT, "quarantine": QUARANTINE, "facts": FACTS, **changes})


def test_the_first_lines_give_recipe_accuracy_interval_and_size() -> None:
    texts = Page(report()).texts
    assert "Evaluation of quickstart" in texts
    headline = next(text for text in texts if text.startswith("Test accuracy"))
    assert re.fullmatch(r"Test accuracy 0\.\d{3} \(0\.\d{3}–0\.\d{3}\) on 1,200 photos of 600 subjects", headline)  # noqa: RUF001


def test_what_the_photos_are_stands_above_the_metrics() -> None:
    texts = Page(report()).texts
    assert texts.index("The photos are drawn.") < texts.index("Metrics")


def test_the_report_says_what_the_labels_are() -> None:
    assert "annotations of apparent gender in the data sets, not people's identity" in " ".join(report().split())


@pytest.mark.parametrize("section", ["Metrics", "Pictures", "Split audit", "Quarantine", "Model and data"])
def test_every_section_is_there(section: str) -> None:
    assert section in Page(report()).texts


def test_the_tables_hold_the_audit_the_counts_by_reason_and_the_facts() -> None:
    texts = Page(report()).texts
    start = texts.index("1,234")
    assert texts[start - 3 : start + 3] == ["celeba", "male", "train", "1,234", "617", "99.9%"]
    start = texts.index("duplicate")
    assert texts[start - 1 : start + 5] == ["celeba", "duplicate", "2", "muct", "truncated", "1"]
    assert texts[texts.index("weights digest") + 1] == "ab" * 32


def test_no_photo_is_named_in_the_report() -> None:
    assert "secret_name" not in report()


def test_the_page_needs_nothing_from_outside_and_runs_nothing() -> None:
    html = report()
    page = Page(html)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "a", "base"}
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.attributes("img"))
    assert "http:" not in html
    assert "https:" not in html
    assert "default-src 'none'" in html


def test_the_page_can_be_read_without_seeing_it() -> None:
    page = Page(report())
    assert page.attributes("html") == [{"lang": "en"}]
    assert len(page.attributes("img")) == 6
    assert all(len(image["alt"]) > 20 for image in page.attributes("img"))
    assert all(header["scope"] in {"col", "row"} for header in page.attributes("th"))
    assert all(region["aria-label"] for region in page.attributes("div") if region.get("role") == "region")


@pytest.mark.parametrize("feature", ["prefers-color-scheme: dark", "@media print", "color-scheme: light dark"])
def test_the_page_adapts_to_dark_screens_and_paper(feature: str) -> None:
    assert feature in report()


def test_names_from_archives_stay_text() -> None:
    hostile = predicted_photos(["male", "female"], [0.9, 0.1]).assign(source=HOSTILE)
    html = report(
        metrics=measure(hostile, FAST),
        pictures={HOSTILE: b"PNG"},
        audit=AUDIT.assign(source=HOSTILE, label=HOSTILE, reason=HOSTILE),
        quarantine=QUARANTINE.assign(source=HOSTILE, reason=HOSTILE),
        facts={"recipe": HOSTILE, "data": HOSTILE, HOSTILE: HOSTILE},
    )
    assert "<script" not in html
    assert HOSTILE in Page(html).texts
    assert Page(html).attributes("img")[0]["alt"] == HOSTILE


def test_undefined_metrics_are_called_undefined() -> None:
    one_class = predicted_photos(["female"] * 3, [0.1, 0.2, 0.3])
    assert "undefined" in Page(report(metrics=measure(one_class, FAST))).texts


def test_without_test_photos_the_headline_is_about_validation() -> None:
    html = report(metrics=measure(random_predictions(20, split="validation"), FAST))
    assert any(text.startswith("Validation accuracy") for text in Page(html).texts)


def test_nothing_quarantined_is_said_in_words() -> None:
    assert "No photo was set aside." in Page(report(quarantine=QUARANTINE.head(0))).texts


def test_a_model_without_facts_has_a_report() -> None:
    assert "Evaluation of a model" in Page(report(facts={})).texts


def test_the_same_input_gives_the_same_page() -> None:
    assert report() == report()
