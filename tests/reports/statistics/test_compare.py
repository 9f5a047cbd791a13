"""The facade gives what its parts give, and copes with studies that are not complete."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.simulated_studies import Population, as_verdicts, draw_counts
from reports.statistics.accuracy import arm_accuracies
from reports.statistics.compare import compare_arms
from reports.statistics.crossed import crossed_mean
from reports.statistics.multiplicity import holm, simultaneous_intervals
from reports.statistics.verdicts import VERDICT_COLUMNS, verdict_counts


def _verdicts(*, seeds: int = 3, arms: int = 4, samples: int = 4) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frames = []
    for name, problems in (("easy", 40), ("hard", 15)):
        counts = draw_counts(
            random=random,
            population=Population(seed=0.1),
            effects=[0.5 * arm for arm in range(arms)],
            seeds=seeds,
            problems=problems,
            samples=samples,
        )
        frames.append(as_verdicts(counts=counts, samples=samples, benchmark=name))
    return pd.concat(frames, ignore_index=True)


def _shares(verdicts: pd.DataFrame, arm: str, benchmark: str) -> np.ndarray:
    own = verdicts[(verdicts["arm"] == arm) & (verdicts["benchmark"] == benchmark)]
    table = own.assign(share=own["correct"] / own["samples"]).pivot(index="seed", columns="problem_id", values="share")
    return table[own["problem_id"].unique()].to_numpy()


def test_rows_are_those_of_the_parts() -> None:
    verdicts = _verdicts()
    table = compare_arms(verdicts=verdicts, baseline="arm 0", planned=["arm 3"], margin=0.05, resamples=499)
    assert len(table.rows) == 9
    rows = table.rows.set_index(["arm", "benchmark"])
    blocks = [_shares(verdicts, "arm 2", name) - _shares(verdicts, "arm 0", name) for name in ("easy", "hard")]
    for name, part in (("easy", blocks[:1]), ("hard", blocks[1:]), ("all", blocks)):
        expected = crossed_mean(blocks=part)
        row = rows.loc[("arm 2", name)]
        assert (row["difference"], row["low"], row["p"]) == pytest.approx((expected.value, expected.low, expected.p))
        assert row["p_adjusted"] >= row["p"]
        together = simultaneous_intervals(estimates=[table.estimates[f"arm {arm}", name] for arm in (1, 2, 3)])
        assert row[["simultaneous_low", "simultaneous_high"]].tolist() == pytest.approx(together[1].tolist())
        assert row["simultaneous_low"] < row["low"]
        kept = table.estimates["arm 2", name]
        assert (kept.value, kept.p, kept.seed_sd) == pytest.approx((expected.value, expected.p, expected.seed_sd))
    assert rows.loc[("arm 3", "all"), "p_adjusted"] == rows.loc[("arm 3", "all"), "p"]  # alone in its family
    # A sentence on the mean of the benchmarks lists planned and other arms alike, so they are one family for it.
    means = rows.xs("all", level="benchmark")
    assert means["p_family"].to_numpy() == pytest.approx(holm(p_values=means["p"]))
    assert rows.drop(index="all", level="benchmark")["p_family"].isna().all()
    assert rows["p_mcnemar"].isna().all()
    assert set(table.odds["arm"]) == {"arm 1", "arm 2", "arm 3"}
    assert not any("cannot speak about seeds" in note for note in table.notes)


def test_one_seed_says_so_and_one_sample_allows_mcnemar() -> None:
    table = compare_arms(verdicts=_verdicts(seeds=1, samples=1), baseline="arm 0", resamples=499)
    assert any("cannot speak about seeds" in note for note in table.notes)
    assert table.rows["p_mcnemar"].notna().all()
    assert table.rows["seed_sd"].isna().all()


def test_an_incomplete_study() -> None:
    verdicts = _verdicts()
    lost = (verdicts["arm"] == "arm 1") & (verdicts["seed"] > 0)
    lost |= (verdicts["arm"] == "arm 2") & (verdicts["benchmark"] == "hard")
    lost |= (verdicts["arm"] == "arm 3") & (verdicts["problem_id"] == "p3") & (verdicts["seed"] == 1)
    table = compare_arms(verdicts=verdicts[~lost], baseline="arm 0", resamples=499)
    rows = table.rows.set_index(["arm", "benchmark"])
    assert rows.loc[("arm 1", "easy"), "seeds"] == 1
    assert ("arm 2", "all") not in rows.index
    assert (rows.loc[("arm 3", "easy"), "problems"], rows.loc[("arm 3", "hard"), "problems"]) == (39, 14)
    assert rows["p"].notna().all()
    no_seed = verdicts[(verdicts["arm"] == "arm 0") ^ (verdicts["seed"] > 0)]
    unpaired = compare_arms(verdicts=no_seed, baseline="arm 0", resamples=99)
    assert (unpaired.rows["seeds"] == 1).all()  # the baseline has one
    assert any("No training seed in common" in note for note in unpaired.notes)


def test_arms_that_agree_everywhere() -> None:
    verdicts = _verdicts(arms=1)
    both = pd.concat([verdicts, verdicts.assign(arm="twin")])
    rows = compare_arms(verdicts=both, baseline="arm 0", resamples=99).rows
    assert (rows["difference"] == 0).all()
    assert (rows["p"] == 1).all()
    assert (rows["p_permutation"] == 1).all()
    assert rows["identical"].all()
    # So few problems could agree by chance although a share larger than the margin would differ.
    assert not rows["equivalent"].any()


def test_a_baseline_alone() -> None:
    table = compare_arms(verdicts=_verdicts(arms=1), baseline="arm 0")
    assert table.rows.empty
    assert table.odds.empty


def test_wrong_input() -> None:
    with pytest.raises(ValueError, match="no verdicts of absent"):
        compare_arms(verdicts=_verdicts(), baseline="absent")
    with pytest.raises(ValueError, match="more right samples"):
        compare_arms(verdicts=_verdicts().assign(correct=9), baseline="arm 0")
    with pytest.raises(ValueError, match="lack samples"):
        compare_arms(verdicts=_verdicts().drop(columns="samples"), baseline="arm 0")


def test_accuracies_at_the_ends_have_an_interval() -> None:
    verdicts = _verdicts(arms=1).assign(correct=0)
    table = arm_accuracies(verdicts=verdicts)
    assert (table["accuracy"] == 0).all()
    assert ((table["high"] > 0) & (table["high"] < 0.3)).all()


def test_counts_of_the_last_evaluation() -> None:
    samples = pd.DataFrame(
        {
            "trial": "a_s0",
            "arm": "a",
            "seed": 0,
            "benchmark": "b",
            "problem_id": ["x", "x", "y", "x"],
            "correct": [True, False, True, True],
            "step": [4, 4, 4, 2],
        }
    )
    counts = verdict_counts(samples=samples)
    assert list(counts.columns) == list(VERDICT_COLUMNS)
    assert counts[["problem_id", "correct", "samples"]].to_numpy().tolist() == [["x", 1, 2], ["y", 1, 1]]
    assert verdict_counts(samples=samples[:0]).empty
