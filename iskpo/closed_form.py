r"""Gain, innovation scale and clipping threshold of the scalar Kalman filter, without running it.

The model is :math:`\rho_t = \rho_{t-1} + w_t`, :math:`z_t = \rho_t + \epsilon_t` with variances Q and V (He et al.
2026, arXiv 2602.10609; their code calls V "R"). Neither gain nor sigma depends on the data; both have closed forms:

.. math::
    K_\infty = \frac{-q + \sqrt{q^2 + 4q}}{2}, \quad \sigma_\infty^2 = \frac{V}{1 - K_\infty}, \quad q = Q/V.

As written the gain cancels for large q. The forms below add positive terms only and need no ratio Q/V:
:math:`\sigma_\infty = (\sqrt{Q} + \sqrt{Q + 4V})/2` and :math:`K_\infty = \sqrt{Q}/\sigma_\infty`.
"""

from collections.abc import Iterable
from typing import overload

import numpy as np
import numpy.typing as npt

from iskpo.settings import check_kappa, check_not_negative, check_positive

Array = npt.NDArray[np.float64]


@overload
def steady_state_gain(*, q: float, v: float) -> float: ...
@overload
def steady_state_gain(*, q: float | Array, v: float | Array) -> float | Array: ...
def steady_state_gain(*, q: float | Array, v: float | Array) -> float | Array:
    """Kalman gain K after many tokens: the share of each innovation that enters rho; it depends on Q/V alone.

    Args:
        q: Process noise variance Q >= 0, a number or an array.
        v: Measurement noise variance V > 0, a number or an array that broadcasts with q.

    Returns:
        K in [0, 1], dimensionless; a float when both arguments are numbers.

    Raises:
        ValueError: A value outside its range.

    Example:
        >>> round(steady_state_gain(q=1e-2, v=1.0), 4)
        0.0951
    """
    sigma = _sigma(q, v)
    return _like_input(np.sqrt(q) / sigma)


@overload
def steady_state_sigma(*, q: float, v: float) -> float: ...
@overload
def steady_state_sigma(*, q: float | Array, v: float | Array) -> float | Array: ...
def steady_state_sigma(*, q: float | Array, v: float | Array) -> float | Array:
    """Predicted standard deviation sqrt(P + V) of an innovation after many tokens, in log-ratio units.

    Args:
        q: Process noise variance Q >= 0, a number or an array.
        v: Measurement noise variance V > 0, a number or an array that broadcasts with q.

    Returns:
        sigma >= sqrt(V); a float when both arguments are numbers.

    Raises:
        ValueError: A value outside its range.
    """
    return _like_input(_sigma(q, v))


@overload
def steady_state_threshold(*, q: float, v: float, kappa: float) -> float: ...
@overload
def steady_state_threshold(*, q: float | Array, v: float | Array, kappa: float | Array) -> float | Array: ...
def steady_state_threshold(*, q: float | Array, v: float | Array, kappa: float | Array) -> float | Array:
    """|innovation| above which a late token is clipped, kappa sigma, in log-ratio units.

    Args:
        q: Process noise variance Q >= 0, a number or an array.
        v: Measurement noise variance V > 0, a number or an array that broadcasts with q.
        kappa: Threshold in standard deviations, > 0; infinity for no clipping.

    Returns:
        The threshold; infinity where kappa is.

    Raises:
        ValueError: A value outside its range.

    Example:
        >>> round(steady_state_threshold(q=1e-2, v=1.0, kappa=3.0), 3)
        3.154
    """
    check_kappa(kappa)
    return _like_input(kappa * _sigma(q, v))


@overload
def decouple(*, gain: float, threshold: float, kappa: float) -> tuple[float, float]: ...
@overload
def decouple(
    *, gain: float | Array, threshold: float | Array, kappa: float | Array
) -> tuple[float | Array, float | Array]: ...
def decouple(
    *, gain: float | Array, threshold: float | Array, kappa: float | Array
) -> tuple[float | Array, float | Array]:
    """Q and V that give a wanted steady-state gain and clipping threshold: the inverse of the functions above.

    With s = threshold / kappa (the wanted sigma): Q = (K s)^2 and V = s^2 (1 - K). Any gain goes with any threshold.

    Args:
        gain: Steady-state Kalman gain K, 0 < K < 1.
        threshold: Steady-state clipping threshold in log-ratio units, > 0.
        kappa: Standard deviations at which that threshold shall lie, > 0 and finite.

    Returns:
        Q and V themselves (not their ratio).

    Raises:
        ValueError: A value outside its range.

    Example:
        >>> q, v = decouple(gain=1e-3, threshold=0.3, kappa=3.0)
        >>> round(q, 12), round(v, 5)
        (1e-08, 0.00999)
    """
    if not np.all((np.asarray(gain) > 0) & (np.asarray(gain) < 1)):
        raise ValueError(f"gain must lie strictly between 0 and 1, got {gain}")
    check_positive(threshold=threshold, kappa=kappa)
    sigma = np.asarray(threshold, dtype=np.float64) / kappa
    return _like_input((gain * sigma) ** 2), _like_input(sigma**2 * (1 - np.asarray(gain)))


def gain_table(*, q: float | Array, v: float | Array, p0: float | Array = 0.0, length: int) -> Array:
    r"""Gains K_1 .. K_length of the first observed tokens.

    :math:`K_t = (K_{t-1} + q)/(K_{t-1} + q + 1)` with :math:`K_0 = P_0/V` is a Moebius map: its t-th iterate is known.
    With :math:`q = Q/V = 4\sinh^2(\eta/2)` and :math:`\lambda = e^{-2\eta}`, all terms positive and none overflowing:

    .. math::
        K_t = \frac{K_0(e^{-\eta} + \lambda^t) + K_\infty(1 - \lambda^t)}
                   {1 + e^{-\eta}\lambda^t + K_0(1 - \lambda^t)/(e^\eta - 1)}.

    Args:
        q: Process noise variance Q >= 0, a number or an array.
        v: Measurement noise variance V > 0, a number or an array that broadcasts with q.
        p0: Variance of rho before the first token, >= 0, likewise. 0 (KPO's choice) makes the gain ramp up from
            Q/(Q + V).
        length: Number of observed tokens, >= 0.

    Returns:
        (..., length) float64, with the arguments' common shape before the tokens; entry i is the gain of the
        (i + 1)-th *observed* token.

    Raises:
        ValueError: A value outside its range.
    """
    _check_table(q, v, p0, length)
    eta = 2 * np.arcsinh(np.sqrt(np.divide(q, v)) / 2)[..., None]
    start = np.divide(p0, v)[..., None]
    t = np.arange(1, length + 1, dtype=np.float64)
    power, rest = np.exp(-2 * eta * t), -np.expm1(-2 * eta * t)
    slope = np.divide(rest, np.expm1(eta), where=eta > 0, out=2 * t + np.zeros_like(eta))
    decay = np.exp(-eta)
    gain: Array = (start * (decay + power) - np.expm1(-eta) * rest) / (1 + decay * power + start * slope)
    return gain


def sigma_table(*, q: float | Array, v: float | Array, p0: float | Array = 0.0, length: int) -> Array:
    """Predicted standard deviations sqrt(P_{t|t-1} + V) of the innovations of the first observed tokens.

    P_{t|t-1} = P_{t-1} + Q, and the posterior variance is P_t = V K_t.

    Args:
        q: Process noise variance Q >= 0, a number or an array.
        v: Measurement noise variance V > 0, a number or an array that broadcasts with q.
        p0: Variance of rho before the first token, >= 0, likewise.
        length: Number of observed tokens, >= 0.

    Returns:
        (..., length) float64, in log-ratio units.

    Raises:
        ValueError: A value outside its range.
    """
    gain = gain_table(q=q, v=v, p0=p0, length=length)
    q, v, p0 = (np.asarray(value, dtype=np.float64)[..., None] for value in (q, v, p0))
    before = np.broadcast_to(p0, (*gain.shape[:-1], 1))
    posterior = np.concatenate((before, v * gain), axis=-1)[..., :length]
    sigma: Array = np.sqrt(posterior + q + v)
    return sigma


@overload
def realised_gain(*, lengths: Iterable[int], q: float, v: float, p0: float = 0.0) -> float: ...
@overload
def realised_gain(
    *, lengths: Iterable[int], q: float | Array, v: float | Array, p0: float | Array = 0.0
) -> float | Array: ...
def realised_gain(
    *, lengths: Iterable[int], q: float | Array, v: float | Array, p0: float | Array = 0.0
) -> float | Array:
    """Mean gain over all tokens of responses of the given lengths: what a training step really used.

    With P_0 = 0 the gain ramps up, at Q/V = 1e-6 over more than a thousand tokens: short responses see less than K_inf.

    Args:
        lengths: Observed tokens of each response, >= 0; at least one token in all.
        q: Process noise variance Q >= 0, a number or an array.
        v: Measurement noise variance V > 0, a number or an array that broadcasts with q.
        p0: Variance of rho before the first token, >= 0, likewise.

    Returns:
        The token-weighted mean of K, dimensionless; a float when q, v and p0 are numbers.

    Raises:
        ValueError: A value outside its range, or no token at all.
    """
    counts = np.asarray(list(lengths))
    if counts.size == 0 or (counts < 0).any() or (counts != np.floor(counts)).any() or counts.sum() == 0:
        raise ValueError(f"lengths must be whole numbers >= 0 with at least one above 0, got {counts.tolist()}")
    counts = counts.astype(np.int64)
    running = np.cumsum(gain_table(q=q, v=v, p0=p0, length=int(counts.max())), axis=-1)
    # Responses without tokens add nothing.
    return _like_input(running[..., counts[counts > 0] - 1].sum(-1) / counts.sum())


def _sigma(q: float | Array, v: float | Array) -> Array:
    check_not_negative(q=q)
    check_positive(v=v)
    root = np.sqrt(np.asarray(q, dtype=np.float64))
    sigma: Array = (root + np.hypot(root, 2 * np.sqrt(v))) / 2
    return sigma


def _like_input(value: npt.NDArray[np.float64] | np.float64) -> float | Array:
    return float(value) if np.ndim(value) == 0 else np.asarray(value)


def _check_table(q: float | Array, v: float | Array, p0: float | Array, length: int) -> None:
    check_not_negative(q=q)
    check_positive(v=v)
    check_not_negative(p0=p0, length=length)
