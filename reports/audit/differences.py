"""Reported differences between arms, and recovered shares of a gap, from the averages they are made of."""

import itertools
import math
from collections.abc import Callable

from reports.audit.printed import Interval, Printed, Row, Verdict, compare, distance
from reports.audit.reported import Reported
from reports.audit.transient import Filter
from reports.data.numbers import number


def check_differences(reported: Reported) -> list[Row]:
    """One row for each reported difference, arm - reference."""
    rows = []
    for claim in reported.differences:
        averages = [reported.average(arm=arm, benchmark=claim.benchmark) for arm in (claim.arm, claim.reference)]
        rows.append(
            _row(
                kind="differences",
                what=f"{claim.arm} minus {claim.reference} on {claim.benchmark}",
                source=claim.source,
                printed=claim.claim,
                names=(claim.arm, claim.reference),
                averages=averages,
                benchmark=claim.benchmark,
                function=lambda first, second: first - second,
                formula="average of the arm − average of the reference",
                caveat=_same_training(reported, claim.arm, claim.reference),
            )
        )
    return rows


def _same_training(reported: Reported, *names: str) -> str:
    """That two arms could not differ, by the file's own numbers, and what their difference then measures; or ""."""
    first, second = (reported.arm(name) for name in names)
    filter_, other = Filter.of(first), Filter.of(second)
    kappas = [arm.kappa for arm in (first, second) if arm.kappa is not None]
    if filter_ is None or filter_ != other or len(kappas) < 2 or kappas[0] == kappas[1]:
        return ""
    innovations = [row.largest_innovation for row in reported.clipping if row.arm in names]
    innovations += [claim.claim for claim in reported.largest_innovations if claim.arm in names]
    known = [printed for printed in innovations if printed is not None]
    lowest = min(kappas) * math.sqrt(filter_.q + filter_.v)
    if not known or max(printed.interval.high for printed in known) >= lowest:
        return ""
    largest = max(known, key=lambda printed: printed.interval.high)
    fractions = [row.clip_fraction for row in reported.clipping if row.arm in names and row.step is not None]
    clipped = max((printed.value for printed in fractions if printed is not None), default=0.0)
    few = (
        f" The largest clip fraction of a step of theirs, {number(clipped)}, contradicts that, and is no more than one "
        f"token in {float(f'{1 / clipped:.2g}'):,.0f}."
        if clipped
        else ""
    )
    return (
        f" The two arms differ in κ alone, and no innovation in the file, at most {largest.text}, reaches the lowest "
        f"threshold, {number(lowest, digits=4)}: by these numbers every update of one is that of the other.{few} "
        "So this is no effect of clipping but what two runs of one arm differ by, and a measure of that noise."
    )


def check_recoveries(reported: Reported) -> list[Row]:
    """One row for each reported recovery; not recomputed where the gap that is recovered may be 0."""
    rows = []
    for claim in reported.recoveries:
        names = (claim.treated, claim.weak, claim.strong)
        averages = [reported.average(arm=arm, benchmark=claim.benchmark) for arm in names]
        weak, strong = averages[1], averages[2]
        gap = weak is not None and strong is not None and not weak.interval.meets(strong.interval)
        rows.append(
            _row(
                kind="recoveries",
                what=f"Recovery by {claim.treated} of the gap from {claim.weak} to {claim.strong} on {claim.benchmark}",
                source=claim.source,
                printed=claim.claim,
                names=names,
                averages=averages,
                benchmark=claim.benchmark,
                function=(lambda c, b, a: (c - b) / (a - b)) if gap or None in averages else None,
                formula="(C − B)/(A − B); A strong, B weak, C treated",
                caveat=" It is a ratio of two estimates: its interval needs the scores of every problem.",
            )
        )
    return rows


def _row(
    *,
    kind: str,
    what: str,
    source: str,
    printed: Printed,
    names: tuple[str, ...],
    averages: list[Printed | None],
    benchmark: str,
    function: Callable[..., float] | None,
    formula: str,
    caveat: str = "",
) -> Row:
    known = [average for average in averages if average is not None]
    missing = [name for name, average in zip(names, averages, strict=True) if average is None]
    value = spread = None
    if missing:
        verdict, text = Verdict.UNKNOWN, f"The file gives no average of {' and '.join(missing)} on {benchmark}."
    elif function is None:
        verdict, text = (
            Verdict.UNKNOWN,
            "The two ends of the gap are equal to the digits printed: there is no gap to share.",
        )
    else:
        value = function(*(average.value for average in known))
        corners = [function(*corner) for corner in itertools.product(*(average.interval for average in known))]
        spread = Interval(min(corners), max(corners))
        verdict = compare(printed, spread)
        inputs = ", ".join(f"{name} {average.text}" for name, average in zip(names, known, strict=True))
        limits = f"{printed.like(spread.low)} to {printed.like(spread.high)}"
        text = f"From {inputs} it is {printed.like(value)}; their digits allow {limits}."
        if verdict is Verdict.DIFFERS and (off := distance(printed, value)):
            text += f" The claim is {off}."
    return Row.of(
        printed,
        kind=kind,
        claim=what,
        source=source,
        verdict=verdict,
        explanation=text + ("" if value is None else caveat),
        formula=formula,
        value=value,
        range=spread,
    )
