"""What running the filter's recurrence gives, on any device."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class Filtered(NamedTuple):
    """The filter's trajectory, (B, T), 0 or False where not observed.

    Attributes:
        rho: The state after each token.
        clipped: Whether |innovation| exceeds the threshold.
        innovation: Gives the innovations z_t - rho_{t-1}, which not everybody asks for.
        finite: Says whether all innovations are finite. A z that is not finite makes its innovation so. May wait for
            the device.
        counts: Observed tokens n of each row, or -1 - n if not all of its innovations are finite, (B,) int32; only from
            where the gradient can use them.
    """

    rho: Tensor
    clipped: Tensor
    innovation: Callable[[], Tensor]
    finite: Callable[[], bool]
    counts: Tensor | None = None
