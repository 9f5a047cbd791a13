import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.statistics.curves import curves
from reports.statistics.majority import equivalence_classes, majority_at_every_k
from sweep.store.trial_tables import pass_at_k
from sweep.tasks.pass_at_k import pass_at_every_k

steady = settings(derandomize=True, deadline=None, max_examples=80)


@steady
@given(data=st.data(), samples=st.integers(1, 200))
def test_pass_at_every_k_is_the_ratio_of_binomials(data, samples):
    correct = data.draw(st.lists(st.integers(0, samples), min_size=1, max_size=4))
    table = pass_at_every_k(correct=correct, samples=samples)
    assert table.dtype == np.float64
    for row, right in zip(table, correct, strict=True):
        exact = [1 - Fraction(math.comb(samples - right, k), math.comb(samples, k)) for k in range(1, samples + 1)]
        np.testing.assert_allclose(row, [float(value) for value in exact], rtol=0, atol=2e-14)
        assert row[0] == pytest.approx(right / samples, abs=1e-15)
        assert row[-1] == float(right > 0)
        assert np.all(np.diff(row) >= 0)
        assert row[samples // 2] == pytest.approx(
            pass_at_k(correct=right, samples=samples, k=samples // 2 + 1), abs=2e-14
        )


def test_pass_at_k_stays_finite_where_binomials_overflow():
    table = pass_at_every_k(correct=[0, 1, 3000, 10_000], samples=10_000)
    assert np.isfinite(table).all()
    assert table[1, 4999] == pytest.approx(0.5, abs=1e-12)
    assert (table[0].max(), table[3].min()) == (0.0, 1.0)


@pytest.mark.parametrize(("correct", "samples"), [([5], 4), ([-1], 4), ([0.5], 4), ([0], 0), ([[1]], 4)])
def test_pass_at_k_refuses_what_is_no_count(correct, samples):
    with pytest.raises(ValueError, match="between 0 and n right samples"):
        pass_at_every_k(correct=correct, samples=samples)


def by_enumeration(right: list[int], wrong: list[int], silent: int) -> list[float]:
    """Every draw of k samples, its votes counted one by one: slow and plain."""
    votes = [("right", place) for place, count in enumerate(right) for _ in range(count)]
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
@given(right=counts, wrong=counts, silent=st.integers(0, 3))
def test_majority_is_the_mean_over_all_draws(right, wrong, silent):
    if not 1 <= sum(right) + sum(wrong) + silent <= 10:
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
    share = majority_at_every_k(right=[right] if right else [], wrong=wrong, silent=silent)
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
    assert majority_at_every_k(right=[2], wrong=[2]).tolist() == pytest.approx([0.5, 0.5, 0.5, 0.5])
    assert majority_at_every_k(right=[1], wrong=[1, 1]).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert majority_at_every_k(right=[], wrong=[], silent=2).tolist() == [0.0, 0.0]
    wide = majority_at_every_k(right=[200], wrong=[56])
    assert wide[-1] == 1.0
    assert np.all(np.diff(wide[::2]) >= -1e-12)
    with pytest.raises(ValueError, match="no votes to count"):
        majority_at_every_k(right=[], wrong=[])
    with pytest.raises(ValueError, match="no votes to count"):
        majority_at_every_k(right=[0], wrong=[1])


def test_classes_are_numbered_by_first_appearance():
    asked = []

    def same(new: str, first: str) -> bool:
        asked.append((new, first))
        return new.lower() == first.lower()

    assert equivalence_classes(["b", "", "a", "B", "a", "c", "B"], same=same) == [0, -1, 1, 0, 1, 2, 0]
    assert asked == [("a", "b"), ("B", "b"), ("c", "b"), ("c", "a")]


def samples_table() -> pd.DataFrame:
    rows = []
    for problem, verdicts, answers in (
        ("p", [1, 1, 0, 0], ["1", "1.0", "2", "2"]),
        ("q", [0, 0, 0, 1], ["3", "", "4", "9"]),
    ):
        rows += [
            {"benchmark": "b", "problem_id": problem, "correct": bool(right), "answer": answer}
            for right, answer in zip(verdicts, answers, strict=True)
        ]
    return pd.DataFrame(rows)


def test_curves_are_means_over_problems():
    table = curves(samples_table())
    assert list(table["k"]) == [1, 2, 3, 4]
    p, q = by_enumeration([2], [2], 0), by_enumeration([1], [1, 1], 1)
    assert list(table["maj_at_k"]) == pytest.approx([(a + b) / 2 for a, b in zip(p, q, strict=True)])
    assert table["pass_at_k"].iloc[[0, 3]].tolist() == pytest.approx([0.375, 1.0])
    together = curves(samples_table(), same=lambda new, first: {new, first} == {"3", "4"})
    assert together["maj_at_k"].iloc[3] == pytest.approx((0.5 + 0.0) / 2)
    assert curves(samples_table().drop(columns="answer"))["maj_at_k"].isna().all()


def test_a_lost_sample_is_an_error():
    with pytest.raises(ValueError, match="between 3 and 4 samples"):
        curves(samples_table().iloc[:-1])
