r"""Testing a mean whose variance is a sum of two estimates: one with few degrees of freedom (seeds), one with many.

No rule is exact for all shares f of the first variance at once: that is the Behrens-Fisher problem. f is not known but
estimated, from little where its degrees of freedom :math:`\nu_1` are few. Two rules stand here, one for each end:

- **At 5 % and above**, from two degrees of freedom on, Student's t with

  .. math:: \frac1\nu = \frac{(3 - 2f) f^2}{\nu_1} + \frac{(1-f)^2}{\nu_2},

  and with one Cochran & Cox's critical value :math:`f\,t_{\nu_1} + (1-f)\,t_{\nu_2}` ("Experimental Designs", 1957,
  section 4.14). Satterthwaite's degrees of freedom, without the factor 3 - 2f, reject up to 8 % of true nulls. The
  factor is ours; it rejects 4.3 to 5.6 % for every true share from two degrees of freedom on.
- **Far below**, where Holm's correction looks, the quantiles of Behrens and Fisher, of
  :math:`\sqrt f\,T_{\nu_1} + \sqrt{1-f}\,T_{\nu_2}`, which reject at most what they promise at every level (Robinson
  1976, "Properties of Student's t and of the Behrens-Fisher solution", Ann. Statist. 4, 963-971). The rule above would
  reject 2.5 times as often as promised at 0.8 % with three seeds and 10 times at 0.1 %, Cochran and Cox's 1.3 and 2.3
  times. At 5 % they would reject 2.4 to 5 %, which makes intervals too wide.

In between the critical value goes over from one to the other, with the level :math:`\alpha \le 5\,\%`:

.. math:: c(\alpha) = c_{BF}(\alpha) \left(\frac{c_{5\%}}{c_{BF}(5\,\%)}\right)^{\alpha / 5\%} .

The tails of Behrens and Fisher's distribution are one integral: with :math:`B \sim Beta(\nu_1/2, \nu_2/2)` the sum is
Student's t of :math:`\nu_1 + \nu_2` degrees of freedom times the root of
:math:`(f \nu_1 / B + (1-f) \nu_2 / (1-B)) / (\nu_1 + \nu_2)` (Ruben 1960).

`tests/reports/statistics/test_two_variances.py` has the levels by quadrature, `benchmarks/calibration.md` those of
simulated studies.
"""

import math

import numpy as np
from scipy import optimize, special

# Confidence level of every interval that this package gives.
LEVEL = 0.95
_ALPHA = 1.0 - LEVEL
# Below this many degrees of freedom the share of the variance cannot be trusted.
_TOO_FEW = 1.5
_LARGEST = 1e9
# Points of the integral, which converges geometrically: the tests compare it with a quadrature of its own.
_POINTS = 400


def freedom_of_sum(*, share: float, few: float, many: float) -> float:
    """Degrees of freedom of Student's t with which the sum is tested, two-sided, at 1 - `LEVEL`.

    Args:
        share: The part of the variance that is the estimate with few degrees of freedom, 0 to 1.
        few: Its degrees of freedom.
        many: Those of the other.
    """
    if few >= _TOO_FEW:
        return 1.0 / ((3.0 - 2.0 * share) * share**2 / few + (1.0 - share) ** 2 / many)
    critical = share * _quantile(few, _ALPHA) + (1.0 - share) * _quantile(many, _ALPHA)
    low, high = min(few, many), max(few, many, _LARGEST)

    def above(logarithm: float) -> float:
        return _quantile(math.exp(logarithm), _ALPHA) - critical

    # The value lies between those of the two, so the root is bracketed but for rounding at share 0 and 1.
    if above(math.log(low)) <= 0:
        return low
    if above(math.log(high)) >= 0:
        return high
    return math.exp(float(optimize.brentq(above, math.log(low), math.log(high), xtol=1e-13)))


def p_of_sum(*, t: float, share: float, few: float, many: float) -> float:
    """Two-sided p of a mean that is t standard errors from 0: the level at which the critical value is |t|.

    Args:
        t: The mean over its standard error.
        share: As for `freedom_of_sum`.
        few: As for `freedom_of_sum`.
        many: As for `freedom_of_sum`.
    """
    size, freedom = abs(t), freedom_of_sum(share=share, few=few, many=many)
    if (p := 2.0 * float(special.stdtr(freedom, -size))) >= _ALPHA:
        return p
    ratio = _ratio(share, few, many, freedom)
    ends = sorted((behrens_fisher_p(size, share, few, many), behrens_fisher_p(size / ratio, share, few, many)))

    def above(p: float) -> float:
        return behrens_fisher_p(size * ratio ** (-p / _ALPHA), share, few, many) - p

    # The root lies between both but for rounding, and where they underflow.
    if above(ends[0]) <= 0:
        return ends[0]
    if above(ends[1]) >= 0:
        return ends[1]
    return float(optimize.brentq(above, *ends, xtol=1e-300, rtol=1e-10))


def critical_value(*, level: float, share: float, few: float, many: float) -> float:
    """The standard errors from 0 at which a two-sided p is `level`, for intervals at another level than `LEVEL`.

    Args:
        level: 0 to 1.
        share: As for `freedom_of_sum`.
        few: As for `freedom_of_sum`.
        many: As for `freedom_of_sum`.
    """
    freedom = freedom_of_sum(share=share, few=few, many=many)
    if level >= _ALPHA:
        return _quantile(freedom, level)
    ratio = _ratio(share, few, many, freedom)
    return _behrens_fisher_quantile(level, share, few, many) * float(ratio ** (level / _ALPHA))


def behrens_fisher_p(x: float, share: float, few: float, many: float) -> float:
    """Two-sided tail of the sum of two Student's t, by the trapezoid rule over the logit of B."""
    middle, together = math.log(few / many), few + many
    # Both ends of the density fall exponentially; they are left where less than 1e-15 of a p of 1e-15 remains.
    start = middle - 140.0 / few - 12.0 / math.sqrt(few)
    end = middle + 140.0 / many + 12.0 / math.sqrt(min(few, many))
    logit = np.linspace(start, end, _POINTS)
    first, second = special.log_expit(logit), special.log_expit(-logit)
    density = np.exp(few / 2 * first + many / 2 * second - special.betaln(few / 2, many / 2))
    scale = np.sqrt((share * few * np.exp(-first) + (1.0 - share) * many * np.exp(-second)) / together)
    return float(2.0 * (density @ special.stdtr(together, -abs(x) / scale)) * (logit[1] - logit[0]))


def _behrens_fisher_quantile(level: float, share: float, few: float, many: float) -> float:
    """Between the quantiles of the two: the tail is at most that of the one with fewer degrees of freedom."""
    low, high = 0.5 * _quantile(max(few, many, _LARGEST), level), 1.5 * _quantile(min(few, many), level)
    return float(optimize.brentq(lambda x: behrens_fisher_p(x, share, few, many) - level, low, high, rtol=1e-12))


def _ratio(share: float, few: float, many: float, freedom: float) -> float:
    return _quantile(freedom, _ALPHA) / _behrens_fisher_quantile(_ALPHA, share, few, many)


def _quantile(freedom: float, level: float) -> float:
    return -float(special.stdtrit(freedom, level / 2))
