"""The audit of the paper against numbers computed here another way: scipy's normal distribution and a direct loop."""

import math

import pytest
from scipy.stats import chi2_contingency, norm

from reports.audit import Verdict
from sweep.arms.paper import LARGEST_INNOVATION, PAPER_ARMS


def _loop(*, q: float, v: float, tokens: int) -> list[tuple[float, float]]:
    """Gain and sigma of the tokens, by the recursion of the filter's variance as textbooks write it."""
    found, variance = [], 0.0
    for _ in range(tokens):
        predicted = variance + q
        gain = predicted / (predicted + v)
        found.append((gain, math.sqrt(predicted + v)))
        variance = (1 - gain) * predicted
    return found


def _row(rows, claim, source=""):
    (found,) = [row for row in rows if row.claim == claim and source in row.source]
    return found


def test_z_and_p_by_scipy_and_by_the_chi_squared_test(paper_rows):
    n = 500 * 16
    treated, reference = 0.4859, 0.4781
    pooled = (treated + reference) / 2
    z = (treated - reference) / math.sqrt(2 * pooled * (1 - pooled) / n)
    assert z == pytest.approx(0.987, abs=5e-4)
    table = [[treated * n, n - treated * n], [reference * n, n - reference * n]]
    chi2 = chi2_contingency(table, correction=False)
    assert z**2 == pytest.approx(chi2.statistic, rel=1e-9)

    of_z = _row(paper_rows, "z of IS-KPO-weak against KPO-weak on MATH-500")
    assert of_z.verdict is Verdict.DIFFERS
    assert (of_z.reported, of_z.recomputed) == ("~1.4", "0.987")
    assert of_z.value == pytest.approx(z, rel=1e-9)
    assert "16,100 answers an arm" in of_z.explanation
    assert round(n * (1.4 / z) ** 2, -2) == 16_100
    assert "takes all answers for independent. Those to one problem are not" in of_z.explanation
    # The paper says nothing of seeds, and neither does the file.
    assert "does not say how many training seeds" in of_z.explanation

    of_p = _row(paper_rows, "p of IS-KPO-weak against KPO-weak on MATH-500")
    assert of_p.verdict is Verdict.DIFFERS
    assert of_p.value == pytest.approx(2 * norm.sf(z), rel=1e-9)
    assert of_p.value == pytest.approx(chi2.pvalue, rel=1e-9)
    assert (of_p.reported, of_p.recomputed) == ("~0.16", "0.324")
    assert round(float(norm.sf(z)), 2) == 0.16
    assert "The claim is the one-sided p of that z" in of_p.explanation
    assert round(2 * float(norm.sf(1.4)), 2) == 0.16
    assert "is the two-sided p of the claimed z, ~1.4" in of_p.explanation


def test_gap_and_recovery(paper_rows):
    gap = _row(paper_rows, "KPO-strong minus KPO-weak on MATH-500")
    assert gap.verdict is Verdict.AGREES
    assert gap.value == pytest.approx(0.5960 - 0.4781, rel=1e-9)
    recovery = _row(paper_rows, "Recovery by IS-KPO-weak of the gap from KPO-weak to KPO-strong on MATH-500")
    assert recovery.verdict is Verdict.AGREES
    assert recovery.value == pytest.approx((48.59 - 47.81) / (59.60 - 47.81), rel=1e-9)
    assert (recovery.reported, recovery.recomputed) == ("6.6%", "6.62 %")
    same = _row(paper_rows, "IS-KPO-weak minus KPO-weak on MATH-500")
    assert "at most 0.556, reaches the lowest threshold, 3.015" in same.explanation
    assert "what two runs of one arm differ by" in same.explanation
    assert "no more than one token in 1,400,000" in same.explanation
    assert "two runs" not in gap.explanation
    drops = [row for row in paper_rows if row.kind == "differences" and row.reported.startswith("↓")]
    assert [row.value for row in drops] == pytest.approx([-0.0465, -0.0501])
    assert all(row.verdict is Verdict.AGREES for row in drops)


@pytest.mark.parametrize(
    ("arm", "q", "v", "reported", "steady", "token", "transient"),
    [
        ("KPO-weak", 0.01, 1.0, "~2%", "9.51 %", 2, "1.95 %"),
        ("IS-KPO-weak", 0.01, 1.0, "~2%", "9.51 %", 2, "1.95 %"),
        ("Optimization 0", 0.05, 1.0, "~5%", "20.0 %", 1, "4.76 %"),
        ("Optimization 1", 0.01, 0.1, "~29%", "27.0 %", None, ""),
    ],
)
def test_gains_are_transient(paper_rows, arm, q, v, reported, steady, token, transient):
    row = _row(paper_rows, f"Kalman gain of {arm}")
    gains = [gain for gain, _ in _loop(q=q, v=v, tokens=2000)]
    assert row.verdict is Verdict.DIFFERS
    assert (row.reported, row.recomputed) == (reported, steady)
    assert row.value == pytest.approx(gains[-1], rel=1e-9)
    printed = float(reported.strip("~%")) / 100
    tokens = [index for index, gain in enumerate(gains, 1) if abs(gain - printed) <= 0.005]
    lengths = [n for n in range(1, 2001) if abs(sum(gains[:n]) / n - printed) <= 0.005]
    if token is None:
        assert tokens == lengths == []
        assert "No token and no response length gives it" in row.explanation
        assert max(gains) < 0.285
    else:
        assert tokens == [token]
        assert f"the gain of token {token} ({transient})" in row.explanation
        assert f"{100 * gains[token - 1]:.2f} %" == transient
        words = f"{lengths[0]} to {lengths[-1]} tokens" if len(lengths) > 1 else f"{lengths[0]} token "
        assert f"the mean gain if responses had {words}" in row.explanation
    assert "with P0 = 0 as in KPO's code; the file does not say" in row.explanation


def test_thresholds(paper_rows):
    weak = _row(paper_rows, "Clipping threshold of IS-KPO-weak")
    sigmas = [sigma for _, sigma in _loop(q=0.01, v=1.0, tokens=2000)]
    assert weak.verdict is Verdict.DIFFERS
    assert (weak.reported, weak.recomputed) == ("~3.06", "3.154")
    assert weak.value == pytest.approx(3 * sigmas[-1], rel=1e-9)
    assert [t for t, sigma in enumerate(sigmas, 1) if abs(3 * sigma - 3.06) <= 0.005] == [4]
    assert "that of token 4 " in weak.explanation

    other = _row(paper_rows, "Clipping threshold of Optimization 1")
    sigmas = [sigma for _, sigma in _loop(q=0.01, v=0.1, tokens=2000)]
    assert (other.verdict, other.reported, other.recomputed) == (Verdict.DIFFERS, "~0.75", "0.740")
    assert other.value == pytest.approx(2 * sigmas[-1], rel=1e-9)
    assert max(2 * sigma for sigma in sigmas) < 0.745
    assert "No token has it" in other.explanation

    sigma = _row(paper_rows, "Predicted deviation σ of innovations of IS-KPO-weak")
    assert (sigma.verdict, sigma.recomputed) == (Verdict.DIFFERS, "1.051")
    assert "tokens 4 to 5" in sigma.explanation
    assert _row(paper_rows, "κ√V of IS-KPO-weak", "Figure 2").verdict is Verdict.AGREES
    assert _row(paper_rows, "κ√V of IS-KPO-weak", "Table 2").verdict is Verdict.DIFFERS


@pytest.mark.parametrize(("benchmark", "right"), [("AIME'24", (30, 42)), ("AIME'25", (17, 23))])
def test_lower_on_aime_is_within_chance(paper_rows, benchmark, right):
    row = _row(paper_rows, f"IS-KPO-weak scores lower than KPO-weak on {benchmark}")
    treated, reference = (count / 480 for count in right)
    pooled = (treated + reference) / 2
    # The averages are printed to two digits after the point.
    assert row.value == pytest.approx((treated - reference) / math.sqrt(2 * pooled * (1 - pooled) / 480), abs=2e-3)
    assert row.verdict is Verdict.AGREES
    assert "no evidence of a difference" in row.explanation


def test_one_variance_behind_four_claims(paper_rows):
    """P = 0.04 gives 1.02, 3.06, 0.75 and 29 % at once, and not 2 %; no other row says so."""
    assert [
        f"{value:.2f}"
        for value in (math.sqrt(1.04), 3 * math.sqrt(1.04), 2 * math.sqrt(0.14), 0.04 / 0.14, 0.04 / 1.04)
    ] == ["1.02", "3.06", "0.75", "0.29", "0.04"]
    told = {row.claim for row in paper_rows if "P = 0.0399 to 0.0418" in row.explanation}
    assert told == {
        "Kalman gain of Optimization 1",
        "Predicted deviation σ of innovations of IS-KPO-weak",
        "Clipping threshold of IS-KPO-weak",
        "Clipping threshold of Optimization 1",
    }
    # The ends are those of 29 %, which is the most exact of them: 0.1 K/(1 - K).
    assert [round(0.1 * gain / (1 - gain), 4) for gain in (0.285, 0.295)] == [0.0399, 0.0418]


@pytest.mark.parametrize("arm", ["IS-KPO-weak", "KPO-weak"])
def test_deviation_and_gain_exclude_each_other(paper_rows, arm):
    explanation = _row(paper_rows, f"Kalman gain of {arm}").explanation
    low, high = (100 * (1 - 1 / sigma**2) for sigma in (1.015, 1.025))
    assert f"σ ~1.02 (Section 4.3) implies a gain of {low:.2f} to {high:.2f} %" in explanation
    assert "no token has both" in explanation
    assert "no token has both" not in _row(paper_rows, "Kalman gain of Optimization 1").explanation


def test_kurtosis_and_ratios(paper_rows):
    rows = [row for row in paper_rows if row.kind == "kurtoses"]
    assert [(row.reported, row.value) for row in rows] == [("17", 18.27), ("59", 43.54), ("17", 17.57), ("32", 29.01)]
    assert all(row.verdict is Verdict.UNKNOWN and "of a step that is not printed" in row.explanation for row in rows)
    scales = [0, 1, 2, 3]
    second, fourth = (sum(scale**power for scale in scales) / 4 for power in (2, 4))
    assert 3 * fourth / second**2 == 6
    assert all("have 6 together" in row.explanation for row in rows)
    figure, text = [row for row in paper_rows if row.kind == "threshold_ratios"]
    assert (figure.verdict, figure.recomputed) == (Verdict.DIFFERS, "7.50")
    assert (text.verdict, text.recomputed) == (Verdict.AGREES, "6.12")


def test_clip_fraction_and_maximum_exclude_each_other(paper_rows):
    row = _row(paper_rows, "Clip fraction of IS-KPO-weak, step 5, with max |δ| 0.437")
    assert row.verdict is Verdict.IMPOSSIBLE
    assert (row.reported, row.recomputed, row.value) == ("1.2e-7", "0", 0.0)
    lowest = 3 * min(sigma for _, sigma in _loop(q=0.01, v=1.0, tokens=100))
    assert lowest > 3
    assert f"{lowest:.3f}" in row.explanation
    assert "exclude each other if both are exact" in row.explanation
    # One part above the threshold and the others at 0 have the smallest mean that is possible.
    assert next(parts for parts in range(1, 20) if lowest / parts <= 0.4375) == 7
    assert "averaged over 7 or more parts" in row.explanation
    # Figure 2 prints no maximum of step 3: that of the run is no smaller.
    third = _row(paper_rows, "Clip fraction of IS-KPO-weak, step 3")
    assert third.verdict is Verdict.IMPOSSIBLE
    assert "the largest innovation of the whole run is ~0.5" in third.explanation
    # Steps without clipped tokens are consistent.
    quiet = [row for row in paper_rows if row.kind == "clipping" and row.reported == "0.0"]
    assert len(quiet) == 3
    assert all(row.verdict is Verdict.AGREES for row in quiet)


def test_the_tension_is_of_one_path(paper_rows):
    (row,) = [row for row in paper_rows if row.kind == "incompatible"]
    # Section 4.4 says it in other words.
    assert row.source == "Abstract; section 5"
    assert row.verdict is Verdict.IMPOSSIBLE
    assert row.recomputed == "Q = 10⁻⁸, V = 0.00999"
    gain, sigma = _loop(q=1e-8, v=0.00999, tokens=60_000)[-1]
    assert (gain, 3 * sigma) == pytest.approx((1e-3, 0.3), rel=1e-3)
    assert "lowest steady-state gain is 9.51 % and the lowest threshold 0.74" in row.explanation
    assert "Whether such a setting trains well is another question" in row.explanation


def test_every_accuracy_is_a_whole_number_of_answers(paper_rows):
    rows = [row for row in paper_rows if row.kind == "accuracies"]
    assert len(rows) == 20
    assert all(row.verdict is Verdict.AGREES for row in rows)
    assert "3,825 right of 8,000" in _row(rows, "avg@16 of KPO-weak on MATH-500").explanation
    for row in rows:
        assert abs(100 * row.value - float(row.reported.removesuffix("%"))) <= 0.005 + 1e-9


def test_every_row_has_a_source_a_reason_and_a_formula(paper_rows):
    assert all(row.source and row.explanation.endswith(".") and row.formula for row in paper_rows)
    assert all("  " not in row.explanation and ".." not in row.explanation for row in paper_rows)
    assert all((row.value is None) <= (row.recomputed == "n/a" or row.kind == "incompatible") for row in paper_rows)


def test_the_file_and_the_arms_that_studies_are_compared_with_are_the_same(paper):
    for known in PAPER_ARMS:
        arm = paper.arm(known.title)
        assert (arm.q, arm.v, arm.kappa) == (known.q, known.v, known.kappa)
        assert paper.average(arm=known.title, benchmark="MATH-500").value == pytest.approx(known.math500 / 100)
        gains = [claim.claim.value for claim in paper.gains if claim.arm == known.title]
        assert gains == pytest.approx([] if known.gain is None else [known.gain])
        thresholds = {claim.claim.value for claim in paper.thresholds if claim.arm == known.title and claim.of is None}
        assert thresholds == (set() if known.threshold is None else {known.threshold})
    maxima = [step.largest_innovation.value for step in paper.clipping if step.largest_innovation is not None]
    assert max(maxima) == LARGEST_INNOVATION
