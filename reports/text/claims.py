"""What a sentence of the verdict claims, beside its words: for programs, and to be held against a truth that is known.

`report.json` lists the claims of the first page, and `benchmarks/calibration_sentences.py` counts how often they are
wrong in simulated studies.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd

Kind = Literal["difference", "interval", "reached", "missed", "low-gain clipping"]


@dataclass(frozen=True)
class Claim:
    """One thing that a sentence says of what lies behind the data.

    Attributes:
        kind: ``difference``, that two arms differ in accuracy, in the direction of `value`; ``interval``, that their
            difference lies between `low` and `high`, printed whatever came out; ``reached`` and ``missed``, that an arm
            recovered at least, or less than, the share `value` of a gap; ``low-gain clipping``, that an arm clips
            as much as counts as active at a gain that counts as low.
        of: ``settings`` where it speaks of arms whatever their seeds, ``models`` of those that were trained.
        arm: The arm.
        reference: The arm, or the untrained model, that it is compared with; empty without one.
        value: A share; NaN where none is claimed.
        low: Lower end of the 95 % interval; NaN without one.
        high: Upper end.
    """

    kind: Kind
    of: Literal["settings", "models"]
    arm: str
    reference: str = ""
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan

    def as_json(self) -> dict[str, Any]:
        """JSON-ready, with null for NaN."""
        return {name: None if value != value else value for name, value in asdict(self).items()}


class Sentence(str):
    """A sentence with its claims; wherever text is wanted, it is its text."""

    claims: tuple[Claim, ...]

    def __new__(cls, text: str, claims: Iterable[Claim] = ()) -> "Sentence":
        """Args: text: What is read. claims: What it says."""
        sentence = super().__new__(cls, text)
        sentence.claims = tuple(claims)
        return sentence


def comparison_claims(*, rows: pd.DataFrame, reference: str = "", established: bool) -> list[Claim]:
    """Claim of each row that its arm differs, or that the difference lies in its interval.

    Args:
        rows: Comparisons with arm, difference, low, high and seeds; with one seed they are of trained models alone.
        reference: What all are compared with; otherwise the column ``reference``.
        established: Whether the sentence says that they differ; else it gives their intervals.
    """
    return [
        Claim(
            "difference" if established else "interval",
            "settings" if row["seeds"] > 1 else "models",
            str(row["arm"]),
            reference or str(row["reference"]),
            *(float(row[name]) for name in ("difference", "low", "high")),
        )
        for _, row in rows.iterrows()
    ]


def low_gain_clipping(*, arms: pd.DataFrame) -> list[Claim]:
    """That each arm clips as much as counts at a gain that is low.

    Args:
        arms: Rows of `reports.analysis.arms.arm_table`.
    """
    return [Claim("low-gain clipping", "models", str(arm)) for arm in arms["arm"]]


def recovery_claim(*, row: "pd.Series[Any]", at_least: float) -> Claim:
    """That an arm reached or missed a share of a gap.

    Args:
        row: Of `reports.analysis.registered_results.RecoveryTable`, with one of these verdicts.
        at_least: That share.
    """
    kind: Kind = "reached" if row["verdict"] == "reached" else "missed"
    ends = (float(row[name]) for name in ("low", "high"))
    return Claim(kind, "settings" if row["seeds"] > 1 else "models", str(row["arm"]), "", at_least, *ends)
