r"""Replay: recorded log ratios filtered again under many settings at once.

A replay answers what a filter would have made of these log ratios. It does not answer what training with that filter
would have done: the policy does not move under replay, and with other ratios it would have gone elsewhere.

Smoothness of rho is measured on pairs of neighbouring observed tokens of a sequence (holes carry the state, so the
tokens on both sides of a hole are neighbours), pooled over all sequences:

- *lag-1 autocorrelation*, symmetric in both members of a pair and so within [-1, 1]; with the mean m and the variance
  s^2 over all members of pairs, :math:`1 - \overline{(\rho_t - \rho_{t-1})^2} / (2 s^2)`, which does not cancel near 1;
- *switch frequency*: share of pairs in which the ratio exp(rho) changes from below 1 to at least 1 or back. KPO (He et
  al. 2026, arXiv 2602.10609) describes its smoothing by a switch frequency; neither the IS-KPO paper nor KPO's public
  code defines one, so this definition is ours and is 1/2 for independent symmetric log ratios.
"""

import importlib
import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import numpy.typing as npt

from iskpo.closed_form import decouple, steady_state_gain, steady_state_threshold
from iskpo.replay.traces import Traces
from iskpo.settings import KPO_BOUNDS, check_filter

Floats = npt.NDArray[np.float64]
_TOKENS_A_CALL = 200_000_000  # token-settings between two signs of progress: a fraction of a second


@dataclass(frozen=True)
class ReplaySettings:
    """Filters to replay, S of them; every attribute is (S,) float64 and means what it does in `filter_log_ratios`."""

    q: Floats
    v: Floats
    kappa: Floats
    p0: Floats
    rho0: Floats

    @classmethod
    def of(
        cls,
        *,
        q: npt.ArrayLike,
        v: npt.ArrayLike,
        kappa: npt.ArrayLike = math.inf,
        p0: npt.ArrayLike = 0.0,
        rho0: npt.ArrayLike = 0.0,
    ) -> "ReplaySettings":
        """A list of settings from numbers or arrays that broadcast to one dimension.

        Raises:
            ValueError: A value outside its range.
        """
        arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, np.float64)) for x in (q, v, kappa, p0, rho0)))
        settings = cls(*arrays)
        check_filter(**vars(settings))
        return settings

    @classmethod
    def grid(cls, *, gain: npt.ArrayLike, threshold: npt.ArrayLike) -> "ReplaySettings":
        """Every steady-state gain with every steady-state threshold, gains outermost, with P_0 = rho_0 = 0.

        kappa is set to 3 and does not matter: gains depend on Q/V alone and thresholds on kappa sqrt(V), so filters
        with the same steady state have the same transient.

        Raises:
            ValueError: A gain outside (0, 1), or a threshold that is not > 0 and finite.
        """
        gains, thresholds = np.meshgrid(np.asarray(gain, np.float64), np.asarray(threshold, np.float64), indexing="ij")
        q, v = decouple(gain=gains.ravel(), threshold=thresholds.ravel(), kappa=np.full(gains.size, 3.0))
        return cls.of(q=q, v=v, kappa=3.0)

    def __len__(self) -> int:
        """Number of settings."""
        return len(self.q)

    def as_array(self) -> Floats:
        """(5, S) in the order of the attributes."""
        return np.stack([self.q, self.v, self.kappa, self.p0, self.rho0])


@dataclass(frozen=True)
class ReplayResult:
    """Sums over tokens for each setting, which add up exactly over parts of a trace.

    Attributes:
        tokens: Observed tokens.
        pairs: Pairs of neighbouring observed tokens.
        sums: (4, S), see `iskpo.kernels.replay_numpy.replay_tiles`.
        counts: (3, S), likewise.
    """

    tokens: int
    pairs: int
    sums: Floats
    counts: npt.NDArray[np.int64]

    def merge(self, other: "ReplayResult") -> "ReplayResult":
        """The result of both traces together, under the same settings."""
        return ReplayResult(
            self.tokens + other.tokens,
            self.pairs + other.pairs,
            self.sums + other.sums,
            self.counts + other.counts,
        )

    @property
    def clip_fraction(self) -> Floats:
        """Share of tokens whose innovation was clipped, (S,)."""
        return np.asarray(self.counts[0] / self.tokens)

    @property
    def gain_mean(self) -> Floats:
        """Realised gain: mean Kalman gain over tokens, (S,)."""
        return np.asarray(self.sums[0] / self.tokens)

    @property
    def outside_fraction(self) -> Floats:
        """Share of tokens whose ratio exp(rho) is outside [1 - eps_low, 1 + eps_high], (S,)."""
        return np.asarray(self.counts[1] / self.tokens)

    @property
    def autocorrelation(self) -> Floats:
        """Lag-1 autocorrelation of rho, (S,); NaN where rho does not vary (beyond rounding) or there is no pair."""
        members = 2 * self.pairs
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = self.sums[2] - self.sums[1] ** 2 / members
            varies = spread > 1e-12 * self.sums[2]
            result: Floats = np.where(varies, 1 - self.sums[3] / spread, np.nan)
        return result

    @property
    def switch_frequency(self) -> Floats:
        """Share of pairs in which exp(rho) crosses 1, (S,); NaN without a pair."""
        return self.counts[2] / self.pairs if self.pairs else np.full(self.counts.shape[1], np.nan)


def replay(
    traces: "Traces | PackedTraces",
    *,
    settings: ReplaySettings,
    eps_low: float = KPO_BOUNDS[0],
    eps_high: float = KPO_BOUNDS[1],
    progress: Callable[[float], None] | None = None,
) -> ReplayResult:
    """Filter every recorded sequence under every setting, in float64, by the rules of `iskpo.reference_filter`.

    Args:
        traces: From `iskpo.replay.traces.read_traces`; packed beforehand where they are replayed more than once.
        settings: The filters.
        eps_low: The objective's interval of ratios begins at 1 - eps_low; 0 to 1.
        eps_high: It ends at 1 + eps_high.
        progress: Called with the share that is done, now and then.

    Returns:
        What each setting did.

    Raises:
        ValueError: The traces hold no observed token.
    """
    kernel = _kernel()
    tiles = traces if isinstance(traces, PackedTraces) else PackedTraces.of(traces)
    count = len(settings)
    # Settings that fill the last block are copies of the last one, and are dropped again.
    padded = np.pad(settings.as_array(), ((0, 0), (0, -count % kernel.LANES)), mode="edge")
    sums, counts = np.zeros((4, padded.shape[1])), np.zeros((3, padded.shape[1]), np.int64)
    low = math.log1p(-eps_low) if eps_low < 1 else -math.inf
    step = max(1, int(_TOKENS_A_CALL / padded.shape[1] / (tiles.tokens / tiles.number)))
    for first in range(0, tiles.number, step):
        last = min(first + step, tiles.number)
        kernel.replay_tiles(
            tiles.z,
            tiles.starts[first : last + 1],
            tiles.lengths[first * kernel.ROWS : last * kernel.ROWS],
            padded,
            low,
            math.log1p(eps_high),
            sums,
            counts,
        )
        if progress is not None:
            progress(float(tiles.starts[last] / tiles.starts[-1]))
    sequences = int(np.count_nonzero(tiles.lengths))
    return ReplayResult(tiles.tokens, tiles.tokens - sequences, sums[:, :count], counts[:, :count])


def settings_columns(settings: ReplaySettings, result: ReplayResult) -> dict[str, npt.NDArray[np.float64] | list[int]]:
    """Settings and results as columns of one table, a row a setting."""
    count = len(settings)
    return {
        "q": settings.q,
        "v": settings.v,
        "kappa": settings.kappa,
        "p0": settings.p0,
        "rho0": settings.rho0,
        "gain": np.asarray(steady_state_gain(q=settings.q, v=settings.v)),
        "threshold": np.asarray(steady_state_threshold(q=settings.q, v=settings.v, kappa=settings.kappa)),
        "tokens": [result.tokens] * count,
        "clipped_tokens": result.counts[0].tolist(),
        "clip_fraction": result.clip_fraction,
        "gain_mean": result.gain_mean,
        "autocorrelation": result.autocorrelation,
        "switch_frequency": result.switch_frequency,
        "outside_fraction": result.outside_fraction,
    }


@dataclass(frozen=True)
class PackedTraces:
    """Observed log ratios as the kernel reads them; see `iskpo.kernels.replay_numpy.replay_tiles`."""

    z: npt.NDArray[np.float32]
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    tokens: int
    # log pi_old in the same places; None where the traces have none.
    old_log_prob: npt.NDArray[np.float32] | None = None

    @property
    def number(self) -> int:
        """Tiles."""
        return len(self.starts) - 1

    @classmethod
    def of(cls, traces: Traces) -> "PackedTraces":
        """Leave holes out, since they neither move the state nor count, and sort by length, so that tiles are full.

        Raises:
            ValueError: The traces hold no observed token.
        """
        rows: int = _kernel().ROWS
        observed = ~np.isnan(traces.z)
        owner = np.repeat(np.arange(len(traces)), np.diff(traces.offsets))
        lengths = np.bincount(owner[observed], minlength=len(traces))
        begins = np.concatenate(([0], np.cumsum(lengths)))[:-1]
        kept = {"z": traces.z}
        if traces.old_log_prob is not None:
            kept["old_log_prob"] = traces.old_log_prob
        order = np.argsort(-lengths, kind="stable")[: int(np.count_nonzero(lengths))]
        if not len(order):
            raise ValueError("the traces hold no observed token")
        heads = order[::rows]
        starts = np.concatenate(([0], np.cumsum(lengths[heads] * rows)))
        packed = {name: np.zeros(int(starts[-1]), np.float32) for name in kept}
        for name, values in kept.items():
            compact = values[observed]
            for place, sequence in enumerate(order):
                length = lengths[sequence]
                tile, row = divmod(place, rows)
                target = packed[name][starts[tile] + row : starts[tile + 1] : rows]
                target[:length] = compact[begins[sequence] :][:length]
        padded = np.zeros(len(heads) * rows, np.int64)
        padded[: len(order)] = lengths[order]
        return cls(**packed, starts=starts.astype(np.int64), lengths=padded, tokens=int(np.count_nonzero(observed)))


def _kernel() -> ModuleType:
    """The compiled kernel where numba is installed; numba is imported only when something is replayed."""
    compiled = importlib.util.find_spec("numba") is not None
    return importlib.import_module("iskpo.kernels.replay_kernel" if compiled else "iskpo.kernels.replay_numpy")
