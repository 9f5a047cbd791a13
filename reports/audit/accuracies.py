"""Whether a printed accuracy can come from whole right answers, and whether avg@k and pass@k fit each other.

The first is the GRIM test (Brown and Heathers 2017, Soc. Psychol. Personal. Sci. 8, 363-369): a mean of n answers that
are right or wrong is a whole number over n. It says much for n well below the number of values that the digits can
tell apart, and little above; the explanation says which.
"""

import math

from reports.audit.printed import Interval, Printed, Row, Verdict
from reports.audit.reported import Accuracy, Reported

_ROUNDING = 1e-9


def check_accuracies(reported: Reported) -> list[Row]:
    """One row for each printed average and pass@k."""
    rows = []
    for claim in reported.accuracies:
        benchmark = reported.benchmark(claim.benchmark)
        k = benchmark.samples
        answers = benchmark.problems * k if benchmark.problems and k else None
        if claim.average is not None:
            rows.append(_check(claim, claim.average, f"avg@{k or 'k'}", answers, "answers"))
        if claim.pass_at_k is not None:
            row = _check(claim, claim.pass_at_k, f"pass@{k or 'k'}", benchmark.problems, "problems")
            rows.append(_bounded(row, claim, k))
    return rows


def _check(claim: Accuracy, printed: Printed, measure: str, total: int | None, noun: str) -> Row:
    low, high = printed.interval
    whole: tuple[int, int] | None = None
    value = spread = None
    if total is None:
        verdict = Verdict.UNKNOWN
        missing = "how many problems" if noun == "problems" else "how many problems and samples"
        text = f"The file does not say {missing} {claim.benchmark} has."
    else:
        whole = (
            math.ceil(max(low, 0.0) * total - _ROUNDING * total),
            math.floor(min(high, 1.0) * total + _ROUNDING * total),
        )
        if whole[0] <= whole[1]:
            verdict = Verdict.AGREES
            nearest = min(max(round(printed.value * total), whole[0]), whole[1])
            value, spread = nearest / total, Interval(whole[0] / total, whole[1] / total)
            text = f"{nearest:,} right of {total:,} {noun} round to it."
            # Neighbouring counts are closer together than the digits tell apart.
            if 1 / total <= (high - low) * (1 + _ROUNDING):
                text += " With so many, every number with these digits is possible: this says little."
        else:
            verdict = Verdict.IMPOSSIBLE
            below, above = whole[1] / total, whole[0] / total
            text = (
                f"No whole number of right {noun} of {total:,} rounds to it: {whole[1]:,} give {printed.like(below)}, "
                f"{whole[0]:,} give {printed.like(above)}. Unless answers were left out."
            )
    return Row.of(
        printed,
        kind="accuracies",
        claim=f"{measure} of {claim.arm} on {claim.benchmark}",
        source=claim.source,
        verdict=verdict,
        explanation=text,
        formula=f"n / {noun if total is None else f'{total:,} {noun}'}, n a whole number",
        value=value,
        range=spread,
    )


def _bounded(row: Row, claim: Accuracy, k: int | None) -> Row:
    """The same row, refused where avg@k and pass@k exclude each other."""
    if claim.average is None or claim.pass_at_k is None or k is None:
        return row
    average, passed = claim.average.interval, claim.pass_at_k.interval
    if passed.meets(Interval(average.low, k * average.high)):
        return row
    text = (
        f"It cannot stand beside avg@{k} = {claim.average.text}: a problem that counts for pass@{k} has 1 to {k} right "
        f"answers of {k}, so pass@{k} is at least the average and at most {k} times it."
    )
    return Row.of(
        claim.pass_at_k,
        kind=row.kind,
        claim=row.claim,
        source=row.source,
        verdict=Verdict.IMPOSSIBLE,
        explanation=text,
        formula="avg@k ≤ pass@k ≤ min(1, k · avg@k)",
    )
