"""Which arms no other beats: the Pareto front of several objectives; with one objective, the best."""

from collections.abc import Sequence

import numpy as np


def unbeaten(values: Sequence[Sequence[float]], *, maximise: Sequence[bool]) -> list[bool]:
    """Whether each point is as good as every other in some objective or better in one (maximal, Pareto).

    A point is beaten by one that is nowhere worse and somewhere better. Points that are equal do not beat each other. A
    point with a NaN is never unbeaten and beats none.

    Args:
        values: (points, objectives).
        maximise: Of each objective, whether more is better.
    """
    points = np.asarray(values, np.float64).reshape(-1, len(maximise))
    points = points * np.where(maximise, -1.0, 1.0)
    result = np.zeros(len(points), bool)
    # Best in the first objective first, ties by the others: whoever beats a point stands before it. So the first that
    # is left is unbeaten; those that it beats go with it.
    left = np.lexsort(points.T[::-1])
    left = left[~np.isnan(points[left]).any(axis=1)]
    while len(left):
        best, left = left[0], left[1:]
        result[best] = True
        point, others = points[best], points[left]
        left = left[(others < point).any(axis=1) | (others == point).all(axis=1)]
    return result.tolist()
