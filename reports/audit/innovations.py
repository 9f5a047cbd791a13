"""Reported kurtosis of the innovations, and how far their largest is said to stay below the threshold."""

from reports.audit.printed import Interval, Printed, Row, Verdict, compare, distance
from reports.audit.reported import KurtosisRange, Reported, ThresholdRatio

_POOLED = (
    " A kurtosis above 3 needs no outlier: the innovations of four updates of a step, Gaussian each, with deviations "
    "as 0 : 1 : 2 : 3, have 6 together, and more if tokens differ in scale too."
)


def check_kurtoses(reported: Reported) -> list[Row]:
    """Two rows for each range: no step may lie outside it, and a step that is printed should reach its ends."""
    return [row for claim in reported.kurtoses for row in _range(claim, reported)]


def _range(claim: KurtosisRange, reported: Reported) -> list[Row]:
    steps = [(row.kurtosis, row) for row in reported.clipping if row.arm == claim.arm and row.kurtosis is not None]
    rows = []
    for printed, word, end in ((claim.lowest, "Smallest", min), (claim.highest, "Largest", max)):
        nearest: Printed | None = None
        verdict, text = Verdict.UNKNOWN, f"The file gives the kurtosis of no step of {claim.arm}."
        if steps:
            nearest, row = end(steps, key=lambda step: step[0].value)
            low, high = nearest.interval
            where = row.source if row.step is None else f"step {row.step}"
            verdict = compare(printed, nearest.interval)
            text = f"It is that of {where}, {nearest.text}."
            if (high < printed.interval.low) if word == "Smallest" else (low > printed.interval.high):
                verdict, text = Verdict.IMPOSSIBLE, f"A step in the file lies outside it: {where} with {nearest.text}."
            elif verdict is Verdict.DIFFERS:
                # Only some steps are printed.
                verdict = Verdict.UNKNOWN
                text = (
                    f"The {word.lower()} of the {len(steps)} steps in the file is {nearest.text} ({where}), which does "
                    f"not contradict it. {printed.text} would be that of a step that is not printed."
                )
        rows.append(
            Row.of(
                printed,
                kind="kurtoses",
                claim=f"{word} kurtosis of innovations of {claim.arm} in the whole run",
                source=claim.source,
                verdict=verdict,
                explanation=text + _POOLED,
                formula="smallest of the run ≤ every step ≤ largest of the run",
                value=None if nearest is None else nearest.value,
                range=None if nearest is None else nearest.interval,
            )
        )
    return rows


def check_threshold_ratios(reported: Reported) -> list[Row]:
    """One row for each claim."""
    return [_ratio(claim) for claim in reported.threshold_ratios]


def _ratio(claim: ThresholdRatio) -> Row:
    threshold, largest, printed = claim.threshold, claim.largest_innovation, claim.claim
    value = threshold.value / largest.value
    spread = Interval(
        threshold.interval.low / largest.interval.high, threshold.interval.high / max(largest.interval.low, 1e-300)
    )
    verdict = compare(printed, spread)
    text = (
        f"{threshold.text} over {largest.text} is {printed.like(value)}; their digits allow {printed.like(spread.low)} "
        f"to {printed.like(spread.high)}."
    )
    if verdict is Verdict.DIFFERS and (off := distance(printed, value)):
        text += f" The claim is {off}."
    return Row.of(
        printed,
        kind="threshold_ratios",
        claim=f"Threshold {threshold.text} over largest innovation {largest.text} of {claim.arm}",
        source=claim.source,
        verdict=verdict,
        explanation=text,
        formula="threshold / max |δ|",
        value=value,
        range=spread,
    )
