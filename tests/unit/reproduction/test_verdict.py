import math

from gender_pipeline.reproduction.verdict import RunRecord, passed, verdict_table

TAGS = {"hardware.processor": "A", "raw.digest": "r" * 64, "weights.digest": "w" * 64}
METRICS = {"evaluation/test.accuracy": 0.9, "seconds/training": 3.0, "evaluation/test.recall": math.nan}


def run(tags=None, metrics=None) -> RunRecord:
    return RunRecord("id", TAGS | (tags or {}), METRICS | (metrics or {}), 10.0)


def results(new: RunRecord, recorded: RunRecord | None = None) -> dict[str, str]:
    table = verdict_table(recorded or run(), new, tolerance=0.01)
    return dict(zip(table["what"], table["result"], strict=True))


def test_equal_runs_pass_whatever_their_seconds() -> None:
    new = run(metrics={"seconds/training": 99.0})
    assert passed(verdict_table(run(), new, 0.0))
    assert "seconds/training" not in results(new)


def test_other_weights_or_the_slightest_other_metric_fail_on_the_same_processor() -> None:
    assert results(run({"weights.digest": "x"}))["weights"] == "FAIL"
    assert results(run(metrics={"evaluation/test.accuracy": 0.9 + 1e-12}))["evaluation/test.accuracy"] == "FAIL"


def test_on_another_processor_metrics_may_be_off_by_the_tolerance_and_weights_are_not_compared() -> None:
    near = run({"hardware.processor": "B", "weights.digest": "x"}, {"evaluation/test.accuracy": 0.905})
    assert passed(verdict_table(run(), near, tolerance=0.01))
    assert "weights" not in results(near)
    assert not passed(verdict_table(run(), near, tolerance=0.001))


def test_other_raw_data_fails_on_any_processor() -> None:
    assert results(run({"hardware.processor": "B", "raw.digest": "x"}))["raw data"] == "FAIL"


def test_a_missing_metric_fails_and_an_undefined_one_that_stays_so_passes() -> None:
    lost = RunRecord("id", TAGS, {"evaluation/test.recall": math.nan}, 1.0)
    assert results(lost)["evaluation/test.accuracy"] == "FAIL"
    assert results(lost)["evaluation/test.recall"] == "PASS"
    assert results(run(metrics={"evaluation/test.recall": 0.5}))["evaluation/test.recall"] == "FAIL"


def test_what_the_recorded_run_does_not_say_neither_passes_nor_fails() -> None:
    assert results(run())["split"] == "not recorded"
    nothing = RunRecord("id", {"hardware.processor": "A"}, {}, 1.0)
    assert not passed(verdict_table(nothing, nothing, 0.0))
