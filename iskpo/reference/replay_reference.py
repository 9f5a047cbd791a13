"""Replay as a specification: one setting, one sequence after another, every statistic by its definition."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt

from iskpo.reference.reference_causal import causal_reference_filter
from iskpo.reference.reference_filter import ReferenceResult, reference_filter, robust_reference_filter
from iskpo.settings import CausalEstimator, Estimator, ModelEstimator


@dataclass(frozen=True)
class ReferenceReplay:
    """What one setting does to a trace; the names are those of `iskpo.replay.refilter.ReplayResult`."""

    clipped: int
    outside: int
    switched: int
    gain_mean: float
    autocorrelation: float


def reference_replay(
    sequences: Iterable[npt.NDArray[np.float32]],
    *,
    q: float,
    v: float,
    kappa: float = math.inf,
    p0: float = 0.0,
    rho0: float = 0.0,
    eps_low: float = 0.0003,
    eps_high: float = 0.0004,
    estimator: Estimator = "clip",
    state_kappa: float = math.inf,
) -> ReferenceReplay:
    """Filter every sequence with `reference_filter` and evaluate the definitions of `iskpo.replay.refilter`.

    Args:
        sequences: Log ratios of each sequence, NaN outside the mask.
        q: Process noise variance Q.
        v: Measurement noise variance V.
        kappa: Innovations are clipped at kappa sigma.
        p0: Variance of rho before the first token.
        rho0: rho before the first token.
        eps_low: The objective's interval of ratios begins at 1 - eps_low.
        eps_high: It ends at 1 + eps_high.
        estimator: ``clip``, or an alternative of `iskpo.robust`.
        state_kappa: Of ``two_step``.
    """

    def filtered(z: npt.NDArray[np.float64], mask: npt.NDArray[np.bool_]) -> ReferenceResult:
        numbers = {"q": q, "v": v, "kappa": kappa, "p0": p0, "rho0": rho0}
        if estimator == "clip":
            return reference_filter(z, mask, **numbers)
        for name in get_args(CausalEstimator):
            if estimator == name:
                return causal_reference_filter(z, mask, estimator=name, **numbers)
        for name in get_args(ModelEstimator):
            if estimator == name:
                return robust_reference_filter(z, mask, estimator=name, state_kappa=state_kappa, **numbers)
        raise ValueError(f"{estimator} needs a step before")

    clipped = outside = switched = 0
    gains: list[float] = []
    earlier: list[float] = []
    later: list[float] = []
    for sequence in sequences:
        z = sequence[None]
        mask = ~np.isnan(z)
        result = filtered(np.where(mask, z, 0).astype(np.float64), mask)
        rho = result.rho[mask]
        clipped += int(result.clipped[mask].sum())
        # The interval of ratios in logarithms: near 1 a ratio has fewer digits than its logarithm.
        outside += int(((rho < math.log1p(-eps_low)) | (rho > math.log1p(eps_high))).sum())
        gains += result.gain[mask].tolist()
        earlier += rho[:-1].tolist()
        later += rho[1:].tolist()
        switched += int(((rho[:-1] < 0) != (rho[1:] < 0)).sum())
    # Each pair in both orders makes the correlation symmetric.
    x, y = np.array(earlier + later), np.array(later + earlier)
    varies = x.size > 0 and x.std() > 0
    correlation = ((x - x.mean()) * (y - y.mean())).mean() / x.var() if varies else math.nan
    return ReferenceReplay(
        clipped=clipped,
        outside=outside,
        switched=switched,
        gain_mean=float(np.mean(gains)),
        autocorrelation=float(correlation),
    )
