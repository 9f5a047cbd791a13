"""A fixed-bin histogram of |innovation| / sigma, and how often it exceeds the usual multiples; merges exactly.

The bins are those of floating point itself: every factor of two from 2^-30 to 2^20 is cut into 16 equal parts, and two
more bins hold what lies below and above. A bin is read off the bits of a float64, so that no rounding of a logarithm
decides a count, and counts of parts add up to the count of the whole. A bin is at most 1/16 = 6.25 % wide: so well is
a quantile known, whatever the number of tokens.
"""

import math
from dataclasses import dataclass
from operator import add

import numpy as np

MULTIPLES = (0.1, 0.3, 1.0, 2.0, 3.0, 5.0)
RESOLUTION = 1 / 16
METRIC_PREFIX = "innovation_histogram/"
# How the names of all other metrics begin that the filter reports of a training step.
FILTER_METRICS = ("kalman/", "innovation/")
_LOWEST, _HIGHEST = -30, 20
BINS = 16 * (_HIGHEST - _LOWEST) + 2
# A float64 begins with its sign, 11 bits of exponent (plus 1023) and the 4 bits that say which sixteenth it lies in.
SHIFT = 52 - 4
OFFSET = 16 * (1023 + _LOWEST) - 1


@dataclass(frozen=True)
class InnovationHistogram:
    """Counts of tokens by |innovation| / sigma.

    Attributes:
        counts: Tokens in each bin, `BINS` of them; bin i holds what lies in `bin_bounds(i)`, lower bound included.
        exceeding: Tokens whose |innovation| / sigma is above each of `MULTIPLES`.
    """

    counts: tuple[int, ...] = (0,) * BINS
    exceeding: tuple[int, ...] = (0,) * len(MULTIPLES)

    @property
    def tokens(self) -> int:
        """Tokens in all bins together."""
        return sum(self.counts)

    def merge(self, other: "InnovationHistogram") -> "InnovationHistogram":
        """The histogram of both batches together."""
        return InnovationHistogram(
            counts=tuple(map(add, self.counts, other.counts)),
            exceeding=tuple(map(add, self.exceeding, other.exceeding)),
        )

    def quantile_bounds(self, share: float) -> tuple[float, float]:
        """Bounds between which the quantile of a share of the tokens certainly lies.

        The quantile is the smallest observed value that at least `share` of all values do not exceed (numpy's
        ``inverted_cdf``).

        Args:
            share: 0 to 1.

        Returns:
            Lower bound, included, and upper bound, excluded, of its bin.

        Raises:
            ValueError: There is no token, or share is no share.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"share must lie between 0 and 1, got {share}")
        if not self.tokens:
            raise ValueError("a histogram of no tokens has no quantiles")
        rank = max(1, math.ceil(share * self.tokens))
        return bin_bounds(int(np.searchsorted(np.cumsum(self.counts), rank)))

    def quantile(self, share: float) -> float:
        """The geometric mean of `quantile_bounds`, within 3.1 % of the quantile; 0 below 2^-30, infinity from 2^20."""
        low, high = self.quantile_bounds(share)
        return math.sqrt(low * high)

    def mean(self) -> float:
        """The mean, within 3.1 %: a bin counts as the geometric mean of its bounds, and the last as where it begins.

        Raises:
            ValueError: There is no token.
        """
        if not self.tokens:
            raise ValueError("a histogram of no tokens has no mean")
        inner = sum(count * math.sqrt(math.prod(bin_bounds(index))) for index, count in enumerate(self.counts[:-1]))
        return (inner + self.counts[-1] * bin_bounds(BINS - 1)[0]) / self.tokens

    def as_metrics(self) -> dict[str, float]:
        """Tokens by bin, named by `METRIC_PREFIX` and the bin's number; empty bins are left out."""
        return {f"{METRIC_PREFIX}{index}": float(count) for index, count in enumerate(self.counts) if count}


def bin_bounds(index: int) -> tuple[float, float]:
    """Lower and upper bound of a bin, both exact.

    >>> bin_bounds(0)[1] == 2**-30, bin_bounds(481), bin_bounds(BINS - 1)
    (True, (1.0, 1.0625), (1048576.0, inf))
    """
    return _lower_bound(index) if index else 0.0, _lower_bound(index + 1) if index < BINS - 1 else math.inf


def _lower_bound(index: int) -> float:
    octave, part = divmod(index - 1, 16)
    return math.ldexp(1 + part * RESOLUTION, _LOWEST + octave)
