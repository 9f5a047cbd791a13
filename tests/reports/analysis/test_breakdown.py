import math

import pandas as pd
import pytest

from reports.analysis.breakdown import breakdown_table, truncation_rate
from reports.statistics.accuracy import average_at_k


def _samples() -> pd.DataFrame:
    rows = [
        {
            "arm": arm,
            "benchmark": "math-500",
            "problem_id": f"{subject}{problem}",
            "subject": subject,
            "level": str(1 + problem % 2),
            "correct": (problem + sample + len(arm)) % 3 == 0,
            "truncated": sample == 0 and subject == "Geometry",
        }
        for arm in ("a", "bb")
        for subject in ("Geometry", "Algebra", "")
        for problem in range(6)
        for sample in range(4)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("by", "groups", "problems"), [("subject", ["Algebra", "Geometry"], 6), ("level", ["1", "2"], 9)]
)
def test_each_group_has_the_accuracy_of_its_rows(by, groups, problems):
    samples = _samples()
    table = breakdown_table(samples=samples, by=by)
    assert list(zip(table["arm"], table["group"], strict=True)) == [
        (arm, group) for arm in ("a", "bb") for group in groups
    ]
    assert set(table["problems"]) == {problems}
    for _, row in table.iterrows():
        own = samples[(samples["arm"] == row["arm"]) & (samples[by] == row["group"])]
        expected = average_at_k(correct=own["correct"], problem=own["problem_id"])
        assert (row["accuracy"], row["low"], row["high"]) == (expected.value, expected.low, expected.high)
        assert row["accuracy"] == pytest.approx(own["correct"].mean())
        assert row["truncated"] == pytest.approx(own["truncated"].mean())


def test_truncation_is_known_or_not():
    samples = _samples()
    assert truncation_rate(samples=samples) == pytest.approx(12 / 144)
    assert math.isnan(truncation_rate(samples=samples.drop(columns="truncated")))
    assert math.isnan(truncation_rate(samples=samples.assign(truncated=None)))
    assert math.isnan(truncation_rate(samples=samples.iloc[:0]))


def test_without_groups_there_is_an_empty_table():
    for samples in (_samples().drop(columns="level"), _samples().assign(level=""), _samples().assign(level=None)):
        table = breakdown_table(samples=samples, by="level")
        assert table.empty
        assert "truncated" in table
