r"""Alternatives to clipping innovations, so that a study can compare them: same model, outliers treated otherwise.

With predicted variance :math:`P^-_t = P_{t-1} + Q`, innovation :math:`r_t = z_t - \rho_{t-1}`, its predicted deviation
:math:`\sigma_t = \sqrt{P^-_t + V}` and the study's kappa, ``saturated`` limits the innovation and leaves gain and
variance alone, as clipping does:

.. math:: \rho_t = \rho_{t-1} + K_t\, w_t r_t, \quad K_t = P^-_t/(P^-_t + V), \quad P_t = K_t V,

while ``huber``, ``wolf`` and ``inflation`` divide the measurement variance by a weight, in gain and variance alike:

.. math:: \rho_t = \rho_{t-1} + K_t r_t, \quad K_t = P^-_t/(P^-_t + V/w_t), \quad P_t = K_t V/w_t.

Such a filter knows less after an outlier, so its next gains are higher. The weights, from 0 to 1 but for ``two_step``:

- ``saturated``: :math:`w = \min(1, \kappa\sqrt{V}/|r|)`. Iteratively saturated Kalman filter (Yang and Boyd 2025, arXiv
  2507.00272; `SteadyOneStepIterSatFilter` of github.com/cvxgrp/iteratively_saturated_kalman_filter) for a scalar
  state, one iteration, unit step. Departure: the gain is KPO's schedule from P_0, not the steady-state one. It differs
  from ``clip`` in the threshold alone: kappa sqrt(V) for kappa sqrt(P^- + V).
- ``two_step``: the same filter with two iterations and a threshold for the state too (`SteadyTwoStepIterSatFilter` of
  the same code), state_kappa sqrt(P^-). With c = kappa sqrt(V), s = state_kappa sqrt(P^-) and sat_c for clipping at c,

  .. math:: x = K\, \mathrm{sat}_c(r), \quad
      \rho_t - \rho_{t-1} = x - (1 - K)\, \mathrm{sat}_s(x) + K\, \mathrm{sat}_c(r - x),

  which is K r where nothing is cut. The second look lets an outlier of the measurement through up to c (1 + K), and an
  s below x makes a jump of the state cost less, so w may reach 2. With equal kappas s is never reached: it takes a
  state_kappa below sqrt(K) kappa. Departure: KPO's schedule of the gain.
- ``huber``: :math:`w = \min(1, \kappa\sigma/|r|)`. Huber's weight psi(r)/r (1964, Ann. Math. Stat. 35, 73) as the
  equivalent weight of the measurement (Yang, He and Xu 2001, J. Geodesy 75, 109). Departure: computed once, from the
  predicted residual, and not iterated with the filtered one.
- ``wolf``: :math:`w = 1/(1 + r^2/(\kappa^2 V))`, so V/w = V + (r/kappa)^2. Weighted observation likelihood filter
  (Duran-Martin et al. 2024, arXiv 2405.05646), whose variance is V/W^2 with the inverse multiquadric weight
  :math:`W = (1 + r^2/c^2)^{-1/2}`: c = kappa sqrt(V), which for a scalar is also its Mahalanobis weight with c = kappa.
- ``inflation``: w such that :math:`P^-_t + V/w_t = \max(P^-_t + V, (r_t/\kappa)^2)`: the variance grows until the
  innovation is just credible. Scaling of the measurement variance by the Mahalanobis distance (Chang 2014, J. Geodesy
  88, 391), with kappa^2 for its quantile of chi squared, and solved exactly, which a scalar allows. Beyond the
  threshold the step K r falls as 1/|r|, where ``huber`` tends to a constant.
- ``ema``: w = 1. With Q and V fixed KPO is an exponential moving average with a schedule known in advance,
  :math:`\rho_t = (1 - \alpha_t)\rho_{t-1} + \alpha_t z_t`, :math:`\alpha_t = K_t` (EMA-KPO: FARS run FA0036,
  Analemma 2026); the same filter as ``clip`` with kappa = infinity, by another computation. A
  constant alpha is the start in the steady state, P_0 = alpha V with Q = alpha^2 V / (1 - alpha).

The rest clip as ``clip`` does, :math:`w_t = \min(1, c_t/|r_t|)`, at a threshold that does not depend on V but on the
sequence's own earlier innovations: it is causal. The first `iskpo.settings.WARM_UP` tokens are not clipped.

- ``mad``: :math:`c_t = 1.4826\,\kappa\,\mathrm{median}_{i<t} |r_i|`, the median absolute deviation about the model's
  mean, 0: a scale that half of the data cannot move (Hampel 1974, J. Am. Stat. Assoc. 69, 383); 1.4826 makes it a
  Gaussian's sigma. Of an even number it is the lower of the middle two.
- ``ewma``: :math:`c_t = \kappa m_{t-1}/(1 - (1-\lambda)^n)` with :math:`m_t = m_{t-1} + \lambda(|r_t| - m_{t-1})` from
  0, after n tokens, lambda = 1/32: a running mean of \|r\|, as control charts take (Roberts 1959, Technometrics 1,
  239), with Adam's correction of the start (arXiv 1412.6980). It follows a change of scale, and outliers raise it.
- ``quantile``: c_t is the smallest earlier \|r_i\| that a share kappa of them does not exceed, 0 < kappa < 1. About
  1 - kappa of the tokens are clipped, whatever the scale; of norms of gradients Andrew et al. 2021, arXiv 1905.03871.
- ``adaptive``: :math:`c_t^2 = \epsilon_{t-1}/(1 - (1-\lambda)^n)` with
  :math:`\epsilon_t = (1-\lambda)\epsilon_{t-1} + \lambda\kappa^2 r_t^2 \exp(-r_t^2/V)` from 0, after the adaptive
  saturation bound of Fang, Haile and Wang 2019 (arXiv 1904.00335): innovations of usual size move it, those far beyond
  do not. Their abstract alone was at hand, so the law's form is recalled and not read; its free constants are set here
  to these. V enters where innovations come near its root. Departure: the start is corrected as for ``ewma``.
"""

import math
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

from iskpo.settings import CAUSAL, FilterSettings, RobustEstimator


@dataclass(frozen=True)
class RobustResult:
    """Filtered log ratios and what led to them, all (B, T) in z's type; zero or False where not observed.

    Attributes:
        rho: Filtered log ratios; carries the exact gradient to z where z asks for one, and the others carry none.
        innovation: r_t = z_t - rho_{t-1}.
        gain: K_t as realised; it depends on the data for ``huber``, ``wolf`` and ``inflation``.
        sigma: Predicted standard deviation of the innovation, sqrt(P^-_t + V), likewise.
        clipped: Whether |r| > kappa sigma (``huber``, ``inflation``), |r| > kappa sqrt(V) (``saturated``, ``two_step``,
            ``wolf``) or |r| > threshold. Of ``wolf``, without a sharp threshold, it is w < 1/2; never for ``ema``.
        weight: w_t; min(1, threshold/|r|) where a threshold follows from data.
        threshold: c_t of the estimators with thresholds from data, infinite on first tokens; None for the others.
    """

    rho: Tensor
    innovation: Tensor
    gain: Tensor
    sigma: Tensor
    clipped: Tensor
    weight: Tensor
    threshold: Tensor | None = None


def robust_filter(
    z: Tensor,
    observed: Tensor,
    *,
    estimator: RobustEstimator,
    q: float,
    v: float,
    kappa: float = math.inf,
    p0: float = 0.0,
    rho0: float = 0.0,
    state_kappa: float = math.inf,
) -> RobustResult:
    """Filter along each row, over observed tokens only; the others carry state and variance.

    Compiled by numba on a CPU where that is installed, otherwise a loop over tokens in torch, which also gives the
    gradient. Both compute in float64 and agree with `iskpo.reference.reference_filter`.

    Args:
        z: Log ratios, (B, T), float32 or float64, finite on observed tokens (`iskpo.filter` checks that).
        observed: (B, T) bool.
        estimator: See this module's description.
        q: Process noise variance Q >= 0.
        v: Measurement noise variance V > 0.
        kappa: Threshold in standard deviations (``quantile``: a share), > 0; infinity makes every estimator the Kalman
            filter.
        p0: Variance of rho before the first token, >= 0.
        rho0: rho before the first token.
        state_kappa: Of ``two_step``.

    Returns:
        The trajectory.

    Raises:
        ValueError: A parameter outside its range, or ``ema`` with a finite kappa.
    """
    settings = FilterSettings(q=q, v=v, kappa=kappa, p0=p0, rho0=rho0, estimator=estimator, state_kappa=state_kappa)
    settings.refuse_contradictions()
    return run_robust_filter(settings, z, observed)


def run_robust_filter(settings: FilterSettings, z: Tensor, observed: Tensor) -> RobustResult:
    """`robust_filter` with settings that are checked already."""
    # Before any arithmetic: a NaN where nothing is observed, times a zero gradient, would still be NaN.
    z = torch.where(observed, z, 0)
    compiled = z.device.type == "cpu" and not z.requires_grad and find_spec("numba") is not None
    if settings.estimator in CAUSAL:
        return _causal(settings, z, observed, compiled=compiled)
    module = import_module("iskpo.kernels.cpu" if compiled else "iskpo.kernels.torch_loop")
    floats: list[Tensor]
    *floats, clipped = module.robust_filter(settings, z, observed)
    rho, innovation, gain, sigma, weight = (x.to(z.dtype) for x in floats)
    return RobustResult(
        rho=rho,
        innovation=innovation.detach(),
        gain=gain.detach(),
        sigma=sigma.detach(),
        clipped=clipped,
        weight=weight.detach(),
    )


def _causal(settings: FilterSettings, z: Tensor, observed: Tensor, *, compiled: bool) -> RobustResult:
    module = import_module("iskpo.kernels.causal_cpu" if compiled else "iskpo.kernels.causal_torch")
    floats: list[Tensor]
    *floats, clipped = module.causal_filter(settings, z, observed)
    rho, *others = (x.to(z.dtype) for x in floats)
    innovation, gain, sigma, threshold = (x.detach() for x in others)
    weight = torch.where(clipped, threshold / innovation.abs().clamp(min=1e-300), 1)
    return RobustResult(rho, innovation, gain, sigma, clipped, torch.where(observed, weight, 0), threshold)
