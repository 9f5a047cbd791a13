r"""Innovations by mini-batch update and by how sure the old policy was of the token: moments that merge exactly.

In update 0 of a step the policy has not moved, so what innovations it has are the rounding of two computations of the
same log-probabilities; in later ones they grow with the policy's drift. Pooled over updates of different scale,
innovations have a high kurtosis without any outlier: Gaussians of scale 0:1:2:3 have 6. Log ratios also scale with
1 - pi_old, so the tokens of the old policy are put into classes by pi_old.

Moments are arrays whose last axis is `FIELDS`. Those of parts give those of the whole by `merge_moments`, whatever the
parts are: micro-batches, ranks, classes, updates, steps or seeds.
"""

import math
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

    from iskpo.filter import FilterResult

Floats = npt.NDArray[np.float64]
# Finite and clipped tokens, sum of (innovation / sigma)^2, largest |innovation|, and the mean with the sums of squared,
# cubed and fourth powers of deviations from it.
FIELDS = ("tokens", "clipped", "nis_sum", "max_abs", "mean", "m2", "m3", "m4")
_TOKENS, _MAX, _MEAN = FIELDS.index("tokens"), FIELDS.index("max_abs"), FIELDS.index("mean")
# Classes of tokens by pi_old: class i begins with the i-th of these, included, and ends before the next.
CLASS_BOUNDS = (0.0, 0.5, 0.9, 0.99, 1.0)
CLASSES = len(CLASS_BOUNDS) - 1
METRIC_PREFIX = "innovation_moments/"
_MOST_BROWSED = 8


def moments_by_class(result: "FilterResult", mask: "Tensor", old_log_prob: "Tensor") -> Floats:
    """Moments of one batch in each class of tokens, (CLASSES, FIELDS) float64.

    Classes are compared in float64, to which float32 converts exactly: a trace gives back the same ones. Tokens whose
    innovation is NaN or infinite, which only the published numerics can produce, are left out.

    Args:
        result: What the filter returned, (B, T).
        mask: The mask it was given, (B, T).
        old_log_prob: Log-probabilities under the policy that generated the batch, (B, T).
    """
    if not mask.numel():
        return np.zeros((CLASSES, len(FIELDS)))
    compiled = mask.device.type == "cpu" and find_spec("numba") is not None
    return merge_moments((_compiled_moments if compiled else _device_moments)(result, mask.bool(), old_log_prob))


def merge_moments(parts: npt.ArrayLike) -> Floats:
    r"""Moments of all parts together, (N, ..., FIELDS) to (..., FIELDS).

    With n_i tokens, mean m_i and central sums S_{k,i} of part i, d_i = m_i - m and m the mean of all (Pebay 2008,
    Sandia report SAND2008-6212, for any number of parts):

    .. math:: S_2 = \sum S_{2,i} + n_i d_i^2 \qquad S_3 = \sum S_{3,i} + 3 d_i S_{2,i} + n_i d_i^3
    .. math:: S_4 = \sum S_{4,i} + 4 d_i S_{3,i} + 6 d_i^2 S_{2,i} + n_i d_i^4

    Counts add up exactly, and so does the maximum; sums are rounded as sums of float64 are.
    """
    array = np.asarray(parts, dtype=np.float64)
    merged: Floats = array.sum(axis=0)
    merged[..., _MAX] = array[..., _MAX].max(axis=0, initial=0.0)
    tokens, mean, second, third, fourth = (array[..., i] for i in (_TOKENS, _MEAN, _MEAN + 1, _MEAN + 2, _MEAN + 3))
    whole = (tokens * mean).sum(axis=0) / np.maximum(merged[..., _TOKENS], 1)
    distance = np.where(tokens > 0, mean - whole, 0.0)
    merged[..., _MEAN] = whole
    merged[..., _MEAN + 1] = (second + tokens * distance**2).sum(axis=0)
    merged[..., _MEAN + 2] = (third + 3 * distance * second + tokens * distance**3).sum(axis=0)
    merged[..., _MEAN + 3] = (fourth + 4 * distance * third + 6 * distance**2 * second + tokens * distance**4).sum(
        axis=0
    )
    return merged


def merge_updates(one: Mapping[int, Floats], other: Mapping[int, Floats]) -> dict[int, Floats]:
    """Moments by update of both parts together."""
    both = {update: merge_moments([one[update], other[update]]) for update in one.keys() & other.keys()}
    # What one part has alone stays as it is, to the last digit.
    return {**one, **other, **both}


def standard_deviation(moments: Floats) -> float:
    """Return the standard deviation by moments of shape (FIELDS,), in log-ratio units; NaN without a token."""
    tokens, second = moments[_TOKENS], moments[_MEAN + 1]
    return math.sqrt(second / tokens) if tokens else math.nan


def kurtosis(moments: Floats) -> float:
    """Pearson's, 3 for a Gaussian, of one (FIELDS,); NaN without variance."""
    tokens, second, fourth = moments[_TOKENS], moments[_MEAN + 1], moments[_MEAN + 3]
    return float(tokens * fourth / second**2) if second**2 > 0 else math.nan


def kurtosis_within(updates: Floats) -> float:
    r"""Kurtosis that is left when each update is measured by its own mean and variance.

    .. math:: \sum_u S_{4,u} \Big/ \sum_u \frac{n_u - 1}{n_u + 1} \frac{S_{2,u}^2}{n_u}

    It is 3 for updates that are Gaussian in themselves, whatever their scales and however few their tokens: the first
    factor makes the expectations' ratio 3, since of n tokens about their own mean a Gaussian's S_4 and S_2^2 expect
    3 (n - 1)^2 / n and n^2 - 1 times the fourth power of its scale. Where the updates' means are alike and tokens are
    many, it is the pooled kurtosis times 3 / `kurtosis_between`. An update counts by its squared variance, so that the
    rounding in update 0 counts for nothing.

    Args:
        updates: Moments of the updates, (U, FIELDS).

    Returns:
        The kurtosis; NaN without variance.
    """
    there = updates[updates[:, _TOKENS] > 0]
    tokens = there[:, _TOKENS]
    expected = float(((tokens - 1) / (tokens + 1) * there[:, _MEAN + 1] ** 2 / tokens).sum())
    return float(there[:, _MEAN + 3].sum()) / expected if expected > 0 else math.nan


def kurtosis_between(updates: Floats) -> float:
    """Kurtosis that pooling alone makes: that of Gaussians with the updates' counts, means and variances.

    Arguments and NaN as of `kurtosis_within`.
    """
    gaussian = updates.copy()
    tokens, second = updates[:, _TOKENS], updates[:, _MEAN + 1]
    gaussian[:, _MEAN + 2] = 0.0
    gaussian[:, _MEAN + 3] = 3 * second**2 / np.maximum(tokens, 1)
    return kurtosis(merge_moments(gaussian))


def update_metrics(by_update: Mapping[int, Floats]) -> dict[str, float]:
    """What people browse of a step's updates, by name; what is undefined is left out.

    ``innovation/update_U/std``, ``max_abs`` and ``kurtosis`` of each update U (of more than 8 updates the first and the
    last, since metrics by the hundred slow MLflow's pages down), ``innovation/kurtosis_within`` and
    ``kurtosis_between``, and ``innovation/nis``: the mean of (innovation / sigma)^2 over all tokens, 1 if the filter's
    Q and V are true.

    Args:
        by_update: Moments of each update by class, (CLASSES, FIELDS).
    """
    updates = {number: merge_moments(by_update[number]) for number in sorted(by_update)}
    metrics: dict[str, float] = {}
    browsed = [*updates] if len(updates) <= _MOST_BROWSED else [min(updates), max(updates)]
    for number in browsed:
        moments = updates[number]
        values = {"std": standard_deviation(moments), "kurtosis": kurtosis(moments), "max_abs": moments[_MAX]}
        metrics |= {f"innovation/update_{number}/{name}": float(value) for name, value in values.items()}
    if updates:
        stacked = np.stack([*updates.values()])
        tokens = stacked[:, _TOKENS].sum()
        metrics["innovation/nis"] = float(stacked[:, FIELDS.index("nis_sum")].sum() / tokens) if tokens else math.nan
        metrics["innovation/kurtosis_within"] = kurtosis_within(stacked)
        metrics["innovation/kurtosis_between"] = kurtosis_between(stacked)
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def moments_as_metrics(by_update: Mapping[int, Floats]) -> dict[str, float]:
    """All moments, named ``METRIC_PREFIX`` update/class/field; classes without a token are left out."""
    return {
        f"{METRIC_PREFIX}{update}/{place}/{field}": float(value)
        for update in sorted(by_update)
        for place, moments in enumerate(by_update[update])
        if moments[_TOKENS]
        for field, value in zip(FIELDS, moments, strict=True)
    }


def _compiled_moments(result: "FilterResult", observed: "Tensor", old_log_prob: "Tensor") -> Floats:
    """Moments of each row and class, (B, CLASSES, FIELDS), by the compiled loop."""
    from iskpo.kernels.class_statistics import class_statistics

    return class_statistics(
        innovation=result.innovation.detach().numpy(),
        sigma=result.sigma.detach().numpy(),
        clipped=result.clipped.numpy(),
        observed=observed.numpy(),
        old_log_prob=old_log_prob.detach().numpy(),
        bounds=np.log(CLASS_BOUNDS[1:-1]),
    )


def _device_moments(result: "FilterResult", observed: "Tensor", old_log_prob: "Tensor") -> Floats:
    """The same by torch on any device, with one wait for it at the end."""
    import torch  # not above: who only reads moments, like a study's command, starts two seconds sooner

    innovation = result.innovation.detach().double()
    bounds = torch.from_numpy(np.log(CLASS_BOUNDS[1:-1])).to(observed.device)
    place = torch.bucketize(old_log_prob.detach().double(), bounds, right=True)
    numbers = torch.arange(CLASSES, device=observed.device).view(-1, 1, 1)
    counted = (observed & innovation.isfinite()) & (place == numbers)
    values = torch.where(counted, innovation, 0)
    tokens = counted.sum(-1)
    mean = values.sum(-1) / tokens.clamp(min=1)
    deviation = torch.where(counted, innovation - mean.unsqueeze(-1), 0)
    square = deviation * deviation
    moments = torch.stack(
        [
            tokens.double(),
            (result.clipped & counted).sum(-1).double(),
            torch.where(counted, innovation / result.sigma.double(), 0).square().sum(-1),
            values.abs().amax(-1),
            mean,
            square.sum(-1),
            (square * deviation).sum(-1),
            (square * square).sum(-1),
        ],
        dim=-1,
    )
    return np.asarray(moments.cpu().numpy().swapaxes(0, 1))
