"""Statistics of innovations that merge exactly, so that micro-batches and ranks cannot change them.

Averaging a metric over micro-batches turns a maximum into a mean of maxima and a fraction into a mean of fractions.
A summary holds counts, sums, maxima and central moments instead, and merging two gives the summary of both batches.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

import torch
from torch import Tensor

from iskpo.filter import FilterResult
from iskpo.innovation_histogram import BINS, MULTIPLES, OFFSET, SHIFT, InnovationHistogram

QUANTILES = {"q50": 0.5, "q99": 0.99, "q999": 0.999}
# Counts: observed, clipped and finite tokens, rows, and sums over rows of n^2, c n and c^2 for c clipped of n tokens;
# gain, sigma, two maxima and four moments; histogram and exceedances.
Sums = tuple[Sequence[float], Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class InnovationSummary:
    """Counts, sums and central moments over observed tokens, in float64.

    Attributes:
        tokens: Observed tokens.
        clipped: Observed tokens whose innovation was clipped.
        sequences: Rows with at least one observed token.
        nonfinite: Observed tokens whose innovation is NaN or infinite, which only the published float32 numerics can
            produce. They count in `tokens` and are left out of the innovation statistics.
        gain_sum: Sum of the Kalman gain.
        threshold_sum: Sum of the thresholds; 0 without clipping.
        thresholds: Tokens that have a threshold; where innovations set it (`iskpo.robust`), first tokens have none.
        max_abs: Largest |innovation|.
        max_abs_over_sigma: Largest |innovation| / sigma.
        mean: Mean innovation.
        m2: Sum of squared deviations from the mean.
        m3: Sum of their cubes.
        m4: Sum of their fourth powers.
        histogram: Counts of |innovation| / sigma.
        tokens_squared: Sum of n^2 over sequences, n their observed tokens.
        clipped_by_tokens: Sum of c n, c their clipped tokens.
        clipped_squared: Sum of c^2.
    """

    tokens: int
    clipped: int
    sequences: int
    nonfinite: int
    gain_sum: float
    threshold_sum: float
    thresholds: int
    max_abs: float
    max_abs_over_sigma: float
    mean: float
    m2: float
    m3: float
    m4: float
    histogram: InnovationHistogram = field(default_factory=InnovationHistogram)
    # Not in checkpoints of earlier versions.
    tokens_squared: int = 0
    clipped_by_tokens: int = 0
    clipped_squared: int = 0

    @classmethod
    def empty(cls) -> "InnovationSummary":
        """The summary of no tokens: merging it changes nothing."""
        return cls(0, 0, 0, 0, 0.0, 0.0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

    @classmethod
    def from_filter(cls, result: FilterResult, mask: Tensor) -> "InnovationSummary":
        """Summarise one batch: in one compiled pass on a CPU, elsewhere on the device, and fetched at once.

        Args:
            result: What the filter returned, (B, T).
            mask: The mask it was given, (B, T).

        Returns:
            The summary.
        """
        if not mask.numel():
            return cls.empty()
        compiled = mask.device.type == "cpu" and find_spec("numba") is not None
        counts, sums, histogram = (_compiled_sums if compiled else _device_sums)(result, mask.bool())
        tokens, clipped, finite, sequences, *squares = (int(count) for count in counts)
        if not tokens:
            return cls.empty()
        gain, sigma, max_abs, max_abs_over_sigma, mean, m2, m3, m4 = sums
        threshold_sum, thresholds = _thresholds(result, mask.bool(), tokens=tokens, sigma=sigma)
        return cls(
            tokens=tokens,
            clipped=clipped,
            sequences=sequences,
            nonfinite=tokens - finite,
            gain_sum=gain,
            threshold_sum=threshold_sum,
            thresholds=thresholds,
            max_abs=max_abs,
            max_abs_over_sigma=max_abs_over_sigma,
            mean=mean,
            m2=m2,
            m3=m3,
            m4=m4,
            histogram=InnovationHistogram(
                counts=tuple(int(count) for count in histogram[:BINS]),
                exceeding=tuple(int(count) for count in histogram[BINS:]),
            ),
            tokens_squared=squares[0],
            clipped_by_tokens=squares[1],
            clipped_squared=squares[2],
        )

    def merge(self, other: "InnovationSummary") -> "InnovationSummary":
        """The summary of both batches together (pairwise update of Pebay 2008, Sandia report SAND2008-6212)."""
        na, nb = self.tokens - self.nonfinite, other.tokens - other.nonfinite
        n = na + nb
        delta = other.mean - self.mean
        share_a, share_b = (na / n, nb / n) if n else (0.0, 0.0)
        between = delta * delta * na * share_b
        m3 = self.m3 + other.m3
        m3 += delta * between * (share_a - share_b) + 3 * delta * (share_a * other.m2 - share_b * self.m2)
        m4 = self.m4 + other.m4
        m4 += delta**2 * between * (share_a**2 - share_a * share_b + share_b**2)
        m4 += 6 * delta**2 * (share_a**2 * other.m2 + share_b**2 * self.m2)
        m4 += 4 * delta * (share_a * other.m3 - share_b * self.m3)
        return InnovationSummary(
            tokens=self.tokens + other.tokens,
            clipped=self.clipped + other.clipped,
            sequences=self.sequences + other.sequences,
            nonfinite=self.nonfinite + other.nonfinite,
            gain_sum=self.gain_sum + other.gain_sum,
            threshold_sum=self.threshold_sum + other.threshold_sum,
            thresholds=self.thresholds + other.thresholds,
            max_abs=max(self.max_abs, other.max_abs),
            max_abs_over_sigma=max(self.max_abs_over_sigma, other.max_abs_over_sigma),
            mean=share_a * self.mean + share_b * other.mean,
            m2=self.m2 + other.m2 + between,
            m3=m3,
            m4=m4,
            histogram=self.histogram.merge(other.histogram),
            tokens_squared=self.tokens_squared + other.tokens_squared,
            clipped_by_tokens=self.clipped_by_tokens + other.clipped_by_tokens,
            clipped_squared=self.clipped_squared + other.clipped_squared,
        )

    @property
    def clip_fraction_error(self) -> float:
        r"""Standard error of the share of clipped tokens, with the sequence as the unit.

        For n tokens and c clipped ones in each of m sequences, and p their ratio (Cochran 1977, "Sampling Techniques",
        section 6.3),

        .. math:: SE^2 = \frac{m}{m - 1} \frac{\sum_i (c_i - p n_i)^2}{(\sum_i n_i)^2} .

        A sequence that several updates see counts in each of them. NaN below two sequences.
        """
        if self.sequences < 2:
            return math.nan
        # Exact while it is whole numbers: p is small, and what is subtracted nearly as large as what remains.
        tokens, clipped = self.tokens, self.clipped
        squares = (
            self.clipped_squared * tokens**2
            - 2 * clipped * tokens * self.clipped_by_tokens
            + clipped**2 * self.tokens_squared
        )
        return math.sqrt(squares * self.sequences / (self.sequences - 1)) / tokens**2

    def as_metrics(self) -> dict[str, float]:
        """Metrics by name; what is undefined (no tokens, no variance, no clipping) is left out.

        Kurtosis is Pearson's: 3 for a Gaussian. ``innovation/q50``, ``q99`` and ``q999`` are quantiles of
        |innovation| / sigma, each known to 3.1 %; ``innovation/exceed_3`` is the exact share of tokens in which it is
        above 3, and so for the other `MULTIPLES`. ``kalman/nonfinite_tokens`` is there only when it is above 0.
        """
        metrics = {"kalman/tokens": float(self.tokens), "kalman/clipped_tokens": float(self.clipped)}
        if self.nonfinite:
            metrics["kalman/nonfinite_tokens"] = float(self.nonfinite)
        if not self.tokens:
            return metrics
        metrics["kalman/gain_mean"] = self.gain_sum / self.tokens
        metrics["kalman/clip_fraction"] = self.clipped / self.tokens
        if self.clipped and self.sequences > 1:
            metrics["kalman/clip_fraction_error"] = self.clip_fraction_error
        if self.thresholds:
            metrics["kalman/threshold"] = self.threshold_sum / self.thresholds
        count = self.tokens - self.nonfinite
        if not count:
            return metrics
        variance = self.m2 / count
        metrics["innovation/max_abs"] = self.max_abs
        metrics["innovation/max_abs_over_sigma"] = self.max_abs_over_sigma
        metrics["innovation/mean"] = self.mean
        metrics["innovation/std"] = math.sqrt(variance)
        if variance**2 > 0:
            metrics["innovation/skewness"] = self.m3 / count / variance**1.5
            metrics["innovation/kurtosis"] = self.m4 / count / variance**2
        # A bin may reach beyond the largest value, which is known.
        for name, share in QUANTILES.items():
            metrics[f"innovation/{name}"] = min(self.histogram.quantile(share), self.max_abs_over_sigma)
        for multiple, exceeding in zip(MULTIPLES, self.histogram.exceeding, strict=True):
            metrics[f"innovation/exceed_{multiple:g}"] = exceeding / count
        return metrics


def _thresholds(result: FilterResult, observed: Tensor, *, tokens: int, sigma: float) -> tuple[float, int]:
    """Sum and number of the finite thresholds of observed tokens.

    Args:
        result: What the filter returned.
        observed: True on observed tokens, (B, T).
        tokens: How many there are.
        sigma: Sum of sigma over them.
    """
    if result.data_threshold is not None:
        known = observed & result.data_threshold.isfinite()
        return float(torch.where(known, result.data_threshold.double(), 0).sum()), int(known.sum())
    kappa, threshold = result.settings.kappa, result.settings.constant_threshold
    if math.isinf(kappa):
        return 0.0, 0
    return kappa * sigma if threshold is None else threshold * tokens, tokens


def _device_sums(result: FilterResult, observed: Tensor) -> Sums:
    """By torch on any device, with one wait for it at the end."""
    innovation = result.innovation.detach().double()
    finite = observed & innovation.isfinite()
    innovation = torch.where(finite, innovation, 0)
    count = finite.sum()
    mean = innovation.sum() / count.clamp(min=1)
    deviation = torch.where(finite, innovation - mean, 0)
    square = deviation * deviation
    size = innovation.abs()
    sigma = result.sigma.double()
    ratio = torch.where(finite, size / sigma, 0)
    tokens, cut = observed.sum(1).double(), (result.clipped & observed).sum(1).double()
    parts = (
        tokens.sum(),
        cut.sum(),
        count,
        observed.any(1).sum(),
        tokens @ tokens,
        tokens @ cut,
        cut @ cut,
        torch.where(observed, result.gain.detach().double(), 0).sum(),
        torch.where(observed, sigma, 0).sum(),
        size.max(),
        ratio.max(),
        mean,
        square.sum(),
        (square * deviation).sum(),
        (square * square).sum(),
    )
    # Counts below 2^53 survive being float64.
    sums = torch.stack([part.double() for part in parts])
    values: list[float] = torch.cat([sums, count_ratios(ratio, finite).double()]).tolist()
    return values[:7], values[7:15], values[15:]


def _compiled_sums(result: FilterResult, observed: Tensor) -> Sums:
    """By the compiled pass; its rows are merged all at once, by the formula of `InnovationSummary.merge`."""
    from iskpo.kernels.cpu import row_statistics

    counts, sums, histogram = row_statistics(
        innovation=result.innovation.detach().numpy(),
        sigma=result.sigma.detach().numpy(),
        gain=result.gain.detach().numpy(),
        clipped=result.clipped.numpy(),
        observed=observed.numpy(),
    )
    gain, sigma, max_abs, max_ratio, means, second, third, fourth = sums.T
    finite = counts[:, 2]
    mean = float(finite @ means) / max(1, int(finite.sum()))
    distance = means - mean
    merged = (
        gain.sum(),
        sigma.sum(),
        max_abs.max(),
        max_ratio.max(),
        mean,
        (second + finite * distance**2).sum(),
        (third + 3 * distance * second + finite * distance**3).sum(),
        (fourth + 4 * distance * third + 6 * distance**2 * second + finite * distance**4).sum(),
    )
    tokens, cut, _ = counts.T
    totals = (*counts.sum(0).tolist(), int((tokens > 0).sum()), int(tokens @ tokens), int(tokens @ cut), int(cut @ cut))
    return totals, [float(value) for value in merged], histogram.tolist()


def count_ratios(ratio: Tensor, counted: Tensor) -> Tensor:
    """The histogram of one batch, without leaving the tensors' device.

    Args:
        ratio: |innovation| / sigma, (B, T) float64, not NaN where counted.
        counted: True where a token counts, (B, T).

    Returns:
        (BINS + len(MULTIPLES),) int64, counts before exceedances.
    """
    index = ((ratio.view(torch.int64) >> SHIFT) - OFFSET).clamp_(0, BINS - 1)
    # Not bincount, which asks a GPU for the largest index and waits for the answer.
    counts = torch.zeros(BINS, dtype=torch.int64, device=ratio.device)
    counts.scatter_add_(0, index.flatten(), counted.flatten().long())
    exceeding = [((ratio > multiple) & counted).sum() for multiple in MULTIPLES]
    return torch.cat([counts, torch.stack(exceeding)])
