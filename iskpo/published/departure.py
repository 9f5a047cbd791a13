"""Where the published float32 formula leaves the exact filter, on log ratios drawn as in the measurement it repeats."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from iskpo.closed_form import gain_table
from iskpo.published.public_numerics import public_filter
from iskpo.reference.reference_filter import reference_filter

TOLERANCE = 0.01
_SEQUENCES = 8


@dataclass(frozen=True)
class Departure:
    """Both filters over the same sequences, token by token, counted from 0.

    Attributes:
        first_wrong: First token where an error exceeds 1 % of `scale`; None where none does before the first NaN.
        first_nonfinite: First token where the public formula is NaN or infinite; None where it never is.
        scale: Largest exact |rho|.
        exact_gain: (T,) float64.
        public_gain: (T,) float32.
        exact_rho: (T,) of the first sequence.
        public_rho: (T,) of the first sequence.
        error: (T,) largest |error| of rho over all sequences, as a share of `scale`.
    """

    first_wrong: int | None
    first_nonfinite: int | None
    scale: float
    exact_gain: npt.NDArray[np.float64]
    public_gain: npt.NDArray[np.float32]
    exact_rho: npt.NDArray[np.float64]
    public_rho: npt.NDArray[np.float64]
    error: npt.NDArray[np.float64]

    def selected_tokens(self) -> list[int]:
        """The first and the last token, those where something happens, and 1, 2, 5, 10, 20, 50 and so on between."""
        last = len(self.error) - 1
        steps = {factor * 10**power for power in range(len(str(last))) for factor in (1, 2, 5)}
        happens = {token for token in (self.first_wrong, self.first_nonfinite) if token is not None}
        return sorted({0, last} | {step for step in steps if step < last} | happens)


def public_departure(*, q: float, v: float, length: int, seed: int = 0, scale: float = 0.05) -> Departure:
    """Run both filters, without clipping and from P_0 = 0, over 8 sequences of z = scale x student-t(3).

    Args:
        q: Process noise variance Q >= 0.
        v: Measurement noise variance V > 0.
        length: Tokens of each sequence, >= 1.
        seed: Seed of z. Where NaN begins does not depend on it; the departure before it moves by a few tokens.
        scale: Scale of z, > 0, in log-ratio units; the filter is linear, so that it only scales rho.

    Returns:
        Both results and where they part.

    Raises:
        ValueError: q or v outside its range.
    """
    z = scale * np.random.default_rng(seed).standard_t(3, (_SEQUENCES, length)).astype(np.float32)
    observed = np.ones(z.shape, dtype=bool)
    exact = reference_filter(z, observed, q=q, v=v).rho
    rho, _, gain = public_filter(torch.from_numpy(z), torch.from_numpy(observed), q=q, v=v, p0=0.0, rho0=0.0)
    public = rho.double().numpy()
    largest = float(np.abs(exact).max())
    with np.errstate(over="ignore"):
        # With Q = 0 the exact rho is 0 throughout, and any other is infinitely wrong.
        error: npt.NDArray[np.float64] = np.abs(public - exact).max(0) / max(largest, np.finfo(np.float64).tiny)
    first_nonfinite = _first(~np.isfinite(public).all(0))
    return Departure(
        first_wrong=_first(error[:first_nonfinite] > TOLERANCE),
        first_nonfinite=first_nonfinite,
        scale=largest,
        exact_gain=gain_table(q=q, v=v, length=length),
        public_gain=gain[0].numpy(),
        exact_rho=exact[0],
        public_rho=public[0],
        error=error,
    )


def _first(where: npt.NDArray[np.bool_]) -> int | None:
    return int(where.argmax()) if where.any() else None
