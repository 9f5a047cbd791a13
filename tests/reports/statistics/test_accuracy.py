"""Tables of accuracies against their parts, by hand."""

import math

import pandas as pd
import pytest

from reports.statistics.accuracy import arm_accuracies, group_accuracies
from reports.statistics.mean_share import mean_share
from reports.statistics.verdicts import final_samples, verdict_counts


def _samples(seed: int, step: int, shares: list[int]) -> pd.DataFrame:
    rows = [(f"p{i}", sample < right) for i, right in enumerate(shares) for sample in range(4)]
    table = pd.DataFrame(rows, columns=["problem_id", "correct"])
    return table.assign(trial=f"a_s{seed}", arm="a", seed=seed, benchmark="b", step=step)


def test_seeds_are_averaged_within_problems_and_their_spread_is_kept() -> None:
    early, first, second = _samples(0, 4, [0, 0, 0]), _samples(0, 8, [4, 2, 0]), _samples(1, 8, [4, 4, 1])
    samples = pd.concat([early, first, second], ignore_index=True)
    assert set(final_samples(samples=samples)["step"]) == {8}
    row = arm_accuracies(verdicts=verdict_counts(samples=samples)).iloc[0]
    assert row["accuracy"] == pytest.approx((1 + 0.75 + 0.125) / 3)
    of_seeds = [[1, 0.5, 0], [1, 1, 0.25]]
    whole, passed = mean_share(values=of_seeds), mean_share(values=[[1, 1, 0], [1, 1, 1]])
    assert row["standard_error"] == pytest.approx(whole.standard_error)
    assert (row["low"], row["high"]) == pytest.approx((whole.low, whole.high))
    assert (row["problems"], row["samples"], row["seeds"]) == (3, 4, 2)
    assert (row["seed_low"], row["seed_high"]) == pytest.approx((0.5, 0.75))
    assert row["seed_sd"] == pytest.approx(0.25 / math.sqrt(2))
    assert row["pass_at_k"] == pytest.approx((2 / 3 + 1) / 2)
    assert (row["pass_low"], row["pass_high"]) == pytest.approx((passed.low, passed.high))
    assert arm_accuracies(verdicts=verdict_counts(samples=samples.iloc[:0])).empty


def _subjects() -> pd.DataFrame:
    rows = [
        {
            "trial": f"{arm}_s{seed}",
            "arm": arm,
            "seed": seed,
            "step": 1,
            "problem_id": f"{subject}{problem}",
            "subject": subject,
            "level": str(1 + problem % 2),
            "correct": (problem + sample + len(arm) + seed) % 3 == 0,
        }
        for arm in ("bb", "a")
        for seed in range(2)
        for subject in ("Geometry", "Algebra", "")
        for problem in range(6)
        for sample in range(4)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("by", "groups", "problems"), [("subject", ["Algebra", "Geometry"], 6), ("level", ["1", "2"], 9)]
)
def test_each_group_has_the_accuracy_of_its_rows(by, groups, problems) -> None:
    samples = _subjects()
    table = group_accuracies(samples=samples, by=by)
    assert list(zip(table["arm"], table["group"], strict=True)) == [
        (arm, group) for arm in ("bb", "a") for group in groups
    ]
    assert set(table["problems"]) == {problems}
    for _, row in table.iterrows():
        own = samples[(samples["arm"] == row["arm"]) & (samples[by] == row["group"])]
        shares = own.groupby(["seed", "problem_id"])["correct"].mean().unstack().to_numpy()
        expected = mean_share(values=shares)
        assert row[["accuracy", "low", "high"]].tolist() == pytest.approx([expected.value, expected.low, expected.high])
        assert row["accuracy"] == pytest.approx(own["correct"].mean())


def test_without_groups_there_is_an_empty_table() -> None:
    for samples in (_subjects().drop(columns="level"), _subjects().assign(level=""), _subjects().assign(level=None)):
        assert group_accuracies(samples=samples, by="level").empty
