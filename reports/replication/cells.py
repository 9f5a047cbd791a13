"""Every number that the paper prints of an arm, beside what this study's runs gave for it.

The paper ran each arm once, as far as it says; its benchmarks are the same problems. So the question of a cell is where
one more run of this study would come out (`reports.statistics.prediction`), and whether some number that rounds to what
is printed lies there. That is no test of the paper's numbers against each other, which is the audit's.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

import pandas as pd

from reports.analysis.arms import planned_arm
from reports.audit import Reported, audit, load_reported
from reports.audit import Verdict as Audited
from reports.audit.printed import Interval, Printed
from reports.audit.reported import Benchmark, Clipping
from reports.data.load import StudyRecord
from reports.replication import runs
from reports.replication.repeats import repeats_the_paper
from reports.replication.runs import Runs
from reports.statistics.prediction import next_run
from sweep.arms.paper import REPORTED, paper_arm

CELL_COLUMNS = (
    "table", "title", "arm", "row", "measure", "printed", "value", "low", "high", "runs", "verdict", "doubtful",
    "source",
)  # fmt: skip


_FRACTION = "Clip fraction"


class Verdict(StrEnum):
    """What a cell says."""

    COMPATIBLE = "compatible"
    DIFFERS = "differs"
    OPEN = "open"


@dataclass(frozen=True)
class _Claim:
    """A printed number and what of this study's runs it is to be held against.

    Attributes:
        title: The paper's title of the arm.
        row: Benchmark or training step; "" where the table has a row an arm.
        measure: What was measured, as the column's head.
        printed: The number.
        source: Table and row, or section.
        kind: The audit's check of it; "" where it has none.
        of: From the name of an arm of the study to its runs.
        other: Title of the arm that is subtracted, or "".
    """

    title: str
    row: str
    measure: str
    printed: Printed
    source: str
    kind: str
    of: Callable[[str], Runs]
    other: str = ""


class _Runs:
    """The finished runs of a study, by arm."""

    def __init__(self, study: StudyRecord, verdicts: pd.DataFrame) -> None:
        finished = study.trials.loc[study.trials["state"] == "finished", "trial"]
        self._steps = study.steps[study.steps["trial"].isin(finished)]
        self._verdicts = verdicts

    def steps(self, of: Callable[[pd.DataFrame], Runs]) -> Callable[[str], Runs]:
        """From an arm to what its training steps give."""
        return lambda arm: of(self._steps[self._steps["arm"] == arm])

    def accuracies(self, benchmark: Benchmark, which: int) -> Callable[[str], Runs]:
        """From an arm to its avg@k (0) or pass@k (1) on a benchmark."""
        there = self._verdicts[self._verdicts["benchmark"] == _ours(benchmark.name)]
        return lambda arm: runs.accuracy_runs(
            there[there["arm"] == arm], samples=benchmark.samples, problems=benchmark.problems
        )[which]


def replication_cells(*, study: StudyRecord, verdicts: pd.DataFrame) -> pd.DataFrame:
    """One row a printed number of an arm that the study has.

    Args:
        study: From `reports.data.load`.
        verdicts: Its `verdict_counts`.

    Returns:
        `CELL_COLUMNS`: table of the paper, its title of the arm, the study's arm (both, where it has two numerics), row
        and measure in the table, the number as printed, this study's mean and the ends for one more run (shares where
        the paper has per cent), runs, `Verdict`, whether the audit says that the number cannot be right, and where it
        stands. Empty where the study does not repeat the paper.
    """
    if not repeats_the_paper(study=study):
        return pd.DataFrame(columns=list(CELL_COLUMNS))
    reported = load_reported(REPORTED)
    arms = _arms(study)
    impossible = {(row.kind, row.source) for row in audit(reported=reported) if row.verdict is Audited.IMPOSSIBLE}
    rows = []
    for claim in _claims(reported, _Runs(study, verdicts)):
        others = arms.get(claim.other, [])
        if claim.other and not others:
            continue
        for arm in arms.get(claim.title, []):
            ours = claim.of(arm) - claim.of(others[0]) if others else claim.of(arm)
            rows.append(_cell(claim, arm, ours, doubtful=(claim.kind, claim.source) in impossible))
    return pd.DataFrame(rows, columns=list(CELL_COLUMNS))


def _arms(study: StudyRecord) -> dict[str, list[str]]:
    """The paper's title of an arm to the study's arms that repeat it."""
    found: dict[str, list[str]] = {}
    for name, trials in study.trials.groupby("arm", sort=False):
        arm = planned_arm(trial=trials.iloc[0])
        if not arm.settings and (known := paper_arm(arm)) is not None:
            found.setdefault(known.title, []).append(str(name))
    return found


def _claims(reported: Reported, there: _Runs) -> Iterator[_Claim]:
    for row in reported.accuracies:
        benchmark = reported.benchmark(row.benchmark)
        for which, (name, printed) in enumerate((("avg", row.average), ("pass", row.pass_at_k))):
            if printed is not None:
                measure, of = f"{name}@{benchmark.samples}, %", there.accuracies(benchmark, which)
                yield _Claim(row.arm, row.benchmark, measure, printed, row.source, "accuracies", of)
    for gain in reported.gains:
        yield _Claim(gain.arm, "", "Gain, %", gain.claim, gain.source, "gains", there.steps(runs.gain_in_run))
    for seen in reported.clipping:
        yield from _of_clipping(seen, there)
    for gap in reported.differences:
        of, measure = there.accuracies(reported.benchmark(gap.benchmark), 0), f"minus {gap.reference}, points"
        yield _Claim(gap.arm, gap.benchmark, measure, gap.claim, gap.source, "differences", of, other=gap.reference)
    for largest in reported.largest_innovations:
        measure, of = "largest |δ| of the run", there.steps(runs.largest_in_run)
        yield _Claim(largest.arm, "", measure, largest.claim, largest.source, "largest_innovations", of)
    for ratio in reported.threshold_ratios:
        measure = f"{ratio.threshold.text} / largest |δ|"
        of = there.steps(runs.threshold_over_largest(ratio.threshold.value))
        yield _Claim(ratio.arm, "", measure, ratio.claim, ratio.source, "threshold_ratios", of)
    for range_ in reported.kurtoses:
        ends = ((range_.lowest, "lowest", runs.lowest_kurtosis), (range_.highest, "highest", runs.highest_kurtosis))
        for printed, word, kurtosis in ends:
            measure = f"{word} kurtosis of a step"
            yield _Claim(range_.arm, "", measure, printed, range_.source, "kurtoses", there.steps(kurtosis))


def _of_clipping(seen: Clipping, there: _Runs) -> Iterator[_Claim]:
    """What is printed of a step; of a run the clip fraction alone: its largest innovation is a claim of its own."""
    step = seen.step
    if step is None:
        measures = [(_FRACTION, seen.clip_fraction, "clipping", runs.clipped_in_run)]
    elif seen.source.startswith("Figure"):
        # Its caption names the largest of all steps, and which it was in that run.
        measures = [("largest clip fraction of a step", seen.clip_fraction, "clipping", runs.most_clipped_step)]
        step = None
    else:
        measures = [
            ("Kurtosis", seen.kurtosis, "", partial(runs.kurtosis_at, step=step)),
            ("max |δ|", seen.largest_innovation, "", partial(runs.largest_at, step=step)),
            (_FRACTION, seen.clip_fraction, "clipping", partial(runs.clipped_at, step=step)),
        ]
    for measure, printed, kind, of in measures:
        if printed is not None:
            row = "" if step is None else str(step)
            yield _Claim(seen.arm, row, measure, printed, seen.source, kind, there.steps(of))


def _ours(benchmark: str) -> str:
    """Our name of a benchmark.

    >>> _ours("MATH-500"), _ours("AIME'24")
    ('math-500', 'aime-2024')
    """
    return benchmark.lower().replace("'", "-20")


def _cell(claim: _Claim, arm: str, ours: Runs, *, doubtful: bool) -> dict[str, Any]:
    found = next_run(values=ours.values, noise=ours.noise, geometric=ours.geometric)
    table = re.match(r"(Table|Figure) \d", claim.source)
    return {
        "table": table.group() if table else "Text",
        "title": claim.title,
        "arm": arm,
        "row": claim.row,
        "measure": claim.measure,
        "printed": claim.printed.text,
        "value": found.value,
        "low": found.low if claim.other else max(found.low, 0.0),
        "high": min(found.high, 1.0) if claim.kind == "accuracies" else found.high,
        "runs": found.runs,
        "verdict": _verdict(claim.printed, found.value, found.low, found.high, found.runs),
        "doubtful": doubtful,
        "source": claim.source,
    }


def _verdict(printed: Printed, value: float, low: float, high: float, amount: int) -> Verdict:
    """Compatible where a number that rounds to what is printed lies between the ends; open where there are no ends.

    With one run the ends are those of sampling alone: a number outside may be another seed's.
    """
    if math.isnan(value) or math.isnan(low):
        return Verdict.OPEN
    # A fraction of 0.0 is no token, and not a number that rounds to 0.0.
    allowed = printed.interval if printed.value != 0 else Interval(0.0, 0.0)
    if allowed.meets(Interval(low, high)):
        return Verdict.COMPATIBLE
    return Verdict.DIFFERS if amount > 1 else Verdict.OPEN
