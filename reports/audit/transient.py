"""At which token, or for which response length, a filter's gain or sigma rounds to what is printed.

Gain and sigma depend on the token, since the filter starts from a variance P_0 that is not that of its steady state.
Both move towards the steady state in one direction only, so the tokens that fit a claim are an unbroken run.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iskpo.closed_form import gain_table, sigma_table, steady_state_gain, steady_state_sigma
from reports.audit.printed import Interval, Printed
from reports.audit.reported import ReportedArm

# Tokens looked at: more than any response has.
LONGEST = 200_000
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Span:
    """Tokens (or lengths) first to last, counted from 1, whose value fits; last is None where it is `LONGEST`."""

    first: int
    last: int | None

    def words(self, noun: str) -> str:
        """``token 2``, ``tokens 3 to 4``, ``tokens 70 and later``."""
        if self.last is None:
            return f"{noun}s {self.first:,} and more"
        return f"{noun} {self.first:,}" if self.first == self.last else f"{noun}s {self.first:,} to {self.last:,}"

    def lengths(self) -> str:
        """``1 token``, ``3 to 4 tokens``, ``70 tokens or more``."""
        if self.last is None:
            return f"{self.first:,} tokens or more"
        if self.first == self.last:
            return f"{self.first:,} token{'' if self.first == 1 else 's'}"
        return f"{self.first:,} to {self.last:,} tokens"


@dataclass(frozen=True)
class Filter:
    """What decides an arm's gain and sigma.

    Attributes:
        q: Process noise variance.
        v: Measurement noise variance.
        p0: Variance before the first token.
        p0_stated: Whether the file gives p0; 0 is taken where it does not.
    """

    q: float
    v: float
    p0: float
    p0_stated: bool

    @staticmethod
    def of(arm: ReportedArm) -> "Filter | None":
        """The filter of an arm, or None where the file lacks Q or V."""
        if arm.q is None or arm.v is None:
            return None
        return Filter(q=arm.q, v=arm.v, p0=arm.p0 or 0.0, p0_stated=arm.p0 is not None)

    @property
    def steady_gain(self) -> float:
        """K after many tokens."""
        return steady_state_gain(q=self.q, v=self.v)

    @property
    def steady_sigma(self) -> float:
        """Sigma after many tokens, in log-ratio units."""
        return steady_state_sigma(q=self.q, v=self.v)

    def gains(self, *, tokens: int = LONGEST) -> Array:
        """K of the first tokens (tokens,)."""
        return gain_table(q=self.q, v=self.v, p0=self.p0, length=tokens)

    def sigmas(self, *, tokens: int = LONGEST) -> Array:
        """Predicted deviations of the innovations of the first tokens (tokens,), in log-ratio units."""
        return sigma_table(q=self.q, v=self.v, p0=self.p0, length=tokens)

    @property
    def setting(self) -> str:
        """Q and V, in words."""
        return f"Q = {self.q:g} and V = {self.v:g}"

    @property
    def start(self) -> str:
        """How it starts, in words."""
        if self.p0_stated:
            return f"with P0 = {self.p0:g}"
        return "with P0 = 0 as in KPO's code; the file does not say"


def mean_gains(gain: Array) -> Array:
    """Mean gain over responses of 1, 2, 3, ... tokens, from the gains of the tokens."""
    mean: Array = np.cumsum(gain) / np.arange(1, len(gain) + 1)
    return mean


def fitting(claim: Printed, values: Array) -> Span | None:
    """The tokens whose value rounds to the claim; None where there is none."""
    low, high = claim.interval
    fits = np.flatnonzero((values >= low) & (values <= high))
    if fits.size == 0:
        return None
    last = int(fits[-1]) + 1
    return Span(int(fits[0]) + 1, None if last == len(values) else last)


def reach(values: Array, steady: float) -> Interval:
    """Everything the filter ever takes: from its first token's value to that of its steady state."""
    return Interval(min(float(values[0]), steady), max(float(values[0]), steady))
