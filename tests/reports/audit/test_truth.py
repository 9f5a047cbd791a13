"""Tables that are made from the truth always agree; the same tables with one number moved do not.

The truth is computed here: counts of right answers, a loop for the filter, the normal distribution of the standard
library.
"""

import math
from statistics import NormalDist

from hypothesis import given, settings
from hypothesis import strategies as st

from reports.audit import Reported, Row, Verdict, audit

_SETTINGS = settings(derandomize=True, deadline=None, max_examples=40)
_TOKENS = 400


def _loop(q: float, v: float, p0: float) -> tuple[list[float], list[float]]:
    gains, sigmas, variance = [], [], p0
    for _ in range(_TOKENS):
        predicted = variance + q
        gains.append(predicted / (predicted + v))
        sigmas.append(math.sqrt(predicted + v))
        variance = v * gains[-1]
    return gains, sigmas


def _audit(**content: object) -> list[Row]:
    return audit(reported=Reported.model_validate({"title": "made from the truth", **content}))


@st.composite
def _filters(draw):
    """Q, V, kappa and P0 of a filter that reaches its steady state within the loop."""
    v = 10 ** draw(st.floats(-3, 1))
    return v * 10 ** draw(st.floats(-2, 1)), v, draw(st.floats(0.5, 6)), v * draw(st.sampled_from([0.0, 0.05, 1.0]))


def _filter_claims(q, v, kappa, p0, *, token, scale=1.0, digits=3):
    """A table about one filter; its numbers are true for scale = 1."""
    gains, sigmas = _loop(q, v, p0)

    def text(value):
        return f"{value * scale:.{digits}e}"

    def share(value):
        return f"{100 * value * scale:.{digits}e}%"

    arm = {"arm": "a", "source": "s"}
    return {
        "arms": [{"name": "a", "q": q, "v": v, "kappa": kappa, "p0": p0, "response_length": _TOKENS}],
        "gains": [
            {**arm, "claim": share(gains[-1]), "of": "steady_state"},
            {**arm, "claim": share(gains[-1])},
            {**arm, "claim": share(gains[token - 1]), "token": token},
            {**arm, "claim": share(sum(gains) / _TOKENS), "of": "mean"},
            {**arm, "claim": share(sum(gains) / _TOKENS)},
        ],
        "sigmas": [{**arm, "claim": text(sigmas[-1])}, {**arm, "claim": text(sigmas[token - 1]), "token": token}],
        "thresholds": [
            {**arm, "claim": text(kappa * sigmas[-1])},
            {**arm, "claim": text(kappa * sigmas[token - 1]), "token": token},
            {**arm, "claim": text(kappa * math.sqrt(v)), "of": "measurement_noise"},
        ],
    }


@_SETTINGS
@given(parameters=_filters(), token=st.integers(1, _TOKENS), digits=st.integers(0, 6))
def test_true_numbers_of_a_filter_agree(parameters, token, digits):
    rows = _audit(**_filter_claims(*parameters, token=token, digits=digits))
    assert [row.verdict for row in rows] == [Verdict.AGREES] * 10, [row for row in rows if row.verdict != "agrees"]


@_SETTINGS
@given(parameters=_filters(), token=st.integers(1, _TOKENS), scale=st.sampled_from([0.5, 0.97, 0.99]))
def test_moved_numbers_of_a_filter_do_not(parameters, token, scale):
    content = _filter_claims(*parameters, token=token, scale=scale)
    # A claim that does not say which gain it means could be right by another one.
    content["gains"] = [claim for claim in content["gains"] if "of" in claim or "token" in claim]
    rows = _audit(**content)
    assert len(rows) == 8
    for row in rows:
        assert row.verdict in (Verdict.DIFFERS, Verdict.IMPOSSIBLE)
        assert row.value is not None


@st.composite
def _counts(draw):
    """Problems, samples, and right answers of a treated, a weak and a strong arm, the last two well apart."""
    problems, samples = draw(st.integers(20, 600)), draw(st.integers(1, 32))
    total = problems * samples
    weak = draw(st.integers(1, total // 2))
    strong = draw(st.integers(weak + max(1, total // 20), total - 1))
    return problems, samples, draw(st.integers(1, total - 1)), weak, strong


def _accuracy_claims(problems, samples, treated, weak, strong, *, wrong=1.0, digits=4):
    """A table about three arms; its differences, recovery, z and p are true for wrong = 1."""
    total = problems * samples
    names = {"C": treated / total, "B": weak / total, "A": strong / total}
    printed = {name: f"{100 * share:.{digits}f}%" for name, share in names.items()}
    # From what is printed, as a reader would; the audit allows for the rounding of its inputs.
    c, b, a = names.values()
    pooled = (c + b) / 2
    z = (c - b) / math.sqrt(2 * pooled * (1 - pooled) / total)
    p = 2 * NormalDist().cdf(-abs(z * wrong))
    bench = {"benchmark": "M", "source": "s"}
    return {
        "benchmarks": [{"name": "M", "problems": problems, "samples": samples}],
        "arms": [{"name": name} for name in names],
        "accuracies": [{"arm": name, "average": text, **bench} for name, text in printed.items()],
        "differences": [{"arm": "A", "reference": "B", "claim": f"{100 * (a - b) * wrong:.3f}pp", **bench}],
        "recoveries": [
            {"treated": "C", "weak": "B", "strong": "A", "claim": f"{100 * (c - b) / (a - b) * wrong:.2f}%", **bench}
        ],
        "tests": [{"arm": "C", "reference": "B", "z": f"{z * wrong:.2f}", "p": f"{p:.3f}", **bench}],
    }


@_SETTINGS
@given(counts=_counts())
def test_true_numbers_of_accuracies_agree(counts):
    rows = _audit(**_accuracy_claims(*counts))
    assert [row.verdict for row in rows] == [Verdict.AGREES] * 7, [row for row in rows if row.verdict != "agrees"]


@_SETTINGS
@given(counts=_counts(), wrong=st.sampled_from([0.5, 1.5, 3.0]))
def test_moved_numbers_of_accuracies_differ_where_the_digits_can_show_it(counts, wrong):
    rows = {
        row.kind: row for row in _audit(**_accuracy_claims(*counts, wrong=wrong)) if not row.claim.startswith("p of")
    }
    # The gap is 5 % of the answers or more: no rounding hides half of it.
    assert rows["differences"].verdict is Verdict.DIFFERS
    # Half a digit of the claim and what four digits of the averages can move, both in the claim's unit.
    for kind, rounding in (("recoveries", 2e-4), ("tests", 0.02)):
        if abs(rows[kind].value) * abs(wrong - 1) > rounding:
            assert rows[kind].verdict is Verdict.DIFFERS
