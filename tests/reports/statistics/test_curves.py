import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.statistics.curves import curve_table, majority_at_every_k, pass_scores
from reports.statistics.mean_share import mean_share
from sweep.tasks.pass_at_k import pass_at_every_k

steady = settings(derandomize=True, deadline=None, max_examples=80)


def by_enumeration(right: int, wrong: list[int], silent: int) -> list[float]:
    """Every draw of k samples, its votes counted one by one: slow and plain."""
    votes: list[tuple[str, int] | None] = [("right", 0)] * right
    votes += [("wrong", place) for place, count in enumerate(wrong) for _ in range(count)]
    votes += [None] * silent
    result = []
    for k in range(1, len(votes) + 1):
        total = Fraction(0)
        for draw in itertools.combinations(votes, k):
            counts = Counter(vote for vote in draw if vote is not None)
            most = [vote for vote, count in counts.items() if count == max(counts.values())]
            total += Fraction(sum(vote[0] == "right" for vote in most), len(most)) if most else 0
        result.append(float(total / math.comb(len(votes), k)))
    return result


counts = st.lists(st.integers(1, 4), max_size=3)


@steady
@given(right=st.integers(0, 4), wrong=counts, silent=st.integers(0, 3))
def test_majority_is_the_mean_over_all_draws(right, wrong, silent):
    if not 1 <= right + sum(wrong) + silent <= 10:
        return
    np.testing.assert_allclose(
        majority_at_every_k(right=right, wrong=wrong, silent=silent), by_enumeration(right, wrong, silent), atol=1e-14
    )


@steady
@given(right=st.integers(0, 24), wrong=st.lists(st.integers(1, 8), max_size=4), silent=st.integers(0, 4))
def test_majority_keeps_its_bounds(right, wrong, silent):
    total = right + sum(wrong) + silent
    if total == 0:
        return
    share = majority_at_every_k(right=right, wrong=wrong, silent=silent)
    passed = pass_at_every_k(correct=[right], samples=total)[0]
    assert share[0] == pytest.approx(right / total, abs=1e-14)
    assert np.all(share >= 0)
    assert np.all(share <= passed + 1e-13)
    if right > max(wrong, default=0):
        assert share[-1] == 1.0
    if right < max(wrong, default=0) or right == 0:
        assert share[-1] == 0.0


def test_majority_by_hand():
    # Of three drawn from two right, two wrong: the pair that comes twice wins; of two drawn, a tie is one half.
    assert majority_at_every_k(right=2, wrong=[2]).tolist() == pytest.approx([0.5, 0.5, 0.5, 0.5])
    assert majority_at_every_k(right=1, wrong=[1, 1]).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert majority_at_every_k(right=0, wrong=[], silent=2).tolist() == [0.0, 0.0]
    wide = majority_at_every_k(right=200, wrong=[56])
    assert wide[-1] == 1.0
    assert np.all(np.diff(wide[::2]) >= -1e-12)
    with pytest.raises(ValueError, match="no votes to count"):
        majority_at_every_k(right=0, wrong=[])
    with pytest.raises(ValueError, match="no votes to count"):
        majority_at_every_k(right=1, wrong=[0])


def samples_table() -> pd.DataFrame:
    rows = []
    for problem, verdicts, answers in (
        ("p", [1, 1, 0, 0], ["1", "1", "2", "2"]),
        ("q", [0, 0, 0, 1], ["3", "", "4", "9"]),
    ):
        rows += [
            {"arm": "a", "seed": 0, "problem_id": problem, "correct": bool(right), "answer": answer}
            for right, answer in zip(verdicts, answers, strict=True)
        ]
    return pd.DataFrame(rows)


def test_curves_are_means_over_problems():
    table = curve_table(samples=samples_table())
    assert list(table["k"]) == [1, 2, 3, 4]
    p, q = by_enumeration(2, [2], 0), by_enumeration(1, [1, 1], 1)
    assert list(table["maj_at_k"]) == pytest.approx([(a + b) / 2 for a, b in zip(p, q, strict=True)])
    assert table["pass_at_k"].iloc[[0, 3]].tolist() == pytest.approx([0.375, 1.0])
    without = curve_table(samples=samples_table().drop(columns="answer"))
    assert without["maj_at_k"].isna().all()
    assert without["pass_at_k"].tolist() == table["pass_at_k"].tolist()


def test_intervals_are_over_seeds_and_problems():
    one, other = samples_table(), samples_table().assign(seed=1, correct=True, answer="1")
    more = pd.concat([table.assign(problem_id=table["problem_id"] + "r") for table in (one, other)])
    table = curve_table(samples=pd.concat([one, other, more])).set_index("k")
    assert table["pass_at_k"].tolist() == pytest.approx(((curve_table(samples=one)["pass_at_k"] + 1) / 2).tolist())
    p, q = by_enumeration(2, [2], 0)[2], by_enumeration(1, [1, 1], 1)[2]
    expected = mean_share(values=[[p, q, p, q], [1.0] * 4])
    assert table.loc[3, ["maj_at_k", "maj_low", "maj_high"]].tolist() == pytest.approx(
        [expected.value, expected.low, expected.high]
    )
    expected = mean_share(values=[[5 / 6, 0.5, 5 / 6, 0.5], [1.0] * 4])
    assert table.loc[2, ["pass_low", "pass_high"]].tolist() == pytest.approx([expected.low, expected.high])


def test_a_lost_sample_shortens_the_curve_and_a_lost_problem_is_left_out():
    one, other = samples_table(), samples_table().assign(seed=1)
    short = curve_table(samples=pd.concat([one.iloc[:-1], other]))
    assert list(short["k"]) == [1, 2, 3]
    assert short["pass_at_k"].iloc[0] == pytest.approx(((0.5 + 0.0) / 2 + (0.5 + 0.25) / 2) / 2)
    alone = curve_table(samples=pd.concat([one, other[other["problem_id"] == "p"]]))
    assert alone["pass_at_k"].iloc[0] == pytest.approx(0.5)
    assert np.isnan(alone["pass_low"]).all()


@steady
@given(shape=st.tuples(st.integers(1, 3), st.integers(1, 8)), seed=st.integers(0, 2**16))
def test_scores_of_cells_are_those_of_their_own_samples(shape, seed):
    random = np.random.default_rng(seed)
    asked = random.integers(1, 9, size=shape)
    right = random.integers(0, asked + 1)
    scores = pass_scores(correct=right, samples=asked)
    assert scores.shape == (*shape, asked.min())
    for cell in np.ndindex(shape):
        n, c = int(asked[cell]), int(right[cell])
        expected = [1 - math.comb(n - c, k) / math.comb(n, k) for k in range(1, asked.min() + 1)]
        np.testing.assert_allclose(scores[cell], expected, atol=1e-14)
