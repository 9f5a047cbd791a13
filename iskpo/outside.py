r"""Tokens whose filtered ratio lies outside the objective's bounds, and bounds that leave a wanted share outside.

At fixed bounds a higher gain puts more tokens outside, so that a comparison of gains also compares how many tokens drop
out of the objective. With ``outside_share`` the bounds follow the ratios instead: of a token with filtered log ratio
rho and planned bounds eps, the excess is

.. math:: u = (1 - e^\rho)/\epsilon_- \text{ or } (e^\rho - 1)/\epsilon_+,

whichever is positive, and the bounds of a step are the planned ones times the quantile of u, for 1 less the share, over
all tokens of the step before. Their proportion stays. In a trial's first step they are as planned.
"""

from torch import Tensor

from iskpo.innovation_histogram import BINS, InnovationHistogram
from iskpo.innovations import count_ratios


def count_outside(
    rho: Tensor, mask: Tensor, *, planned: tuple[float, float], used: tuple[float, float]
) -> tuple[int, InnovationHistogram]:
    """Tokens outside the bounds that were used, and tokens by their excess over the planned ones.

    Args:
        rho: Filtered log ratios, (B, T); NaN and infinite ones, of the published numerics, are left out.
        mask: True on observed tokens, (B, T).
        planned: eps_low and eps_high.
        used: The bounds of this step, in the planned proportion unless the lower one has met 1.
    """
    counted = mask & rho.isfinite()
    # Near 1 a ratio has fewer digits than its logarithm.
    distance = rho.double().where(counted, 0).expm1()
    below, above = (-distance).clamp(min=0), distance.clamp(min=0)
    outside = ((below > used[0]) | (above > used[1])) & counted
    numbers = count_ratios((below / planned[0]).maximum(above / planned[1]), counted).tolist()
    histogram = InnovationHistogram(counts=tuple(numbers[:BINS]), exceeding=tuple(numbers[BINS:]))
    return int(outside.sum()), histogram


def bounds_scale(share: float, before: InnovationHistogram | None) -> float:
    """What the planned bounds are multiplied by, known to 3.1 %; 1 without a share or a step before.

    Args:
        share: Wanted share of tokens outside; 0 for bounds as planned.
        before: Excess of the tokens of the step before.
    """
    if not share or before is None or not before.tokens:
        return 1.0
    scale = before.quantile(1 - share)
    # Where nearly all ratios are 1, as in a step that changed nothing, no bound leaves a share outside.
    return scale if 0 < scale < float("inf") else 1.0
