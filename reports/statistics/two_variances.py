r"""Tests of a mean whose variance is the sum of two estimates, one of few degrees of freedom and one of many.

With the first's share f of the variance, and degrees of freedom :math:`\nu_1` (few: training seeds - 1) and
:math:`\nu_2` (many: problems), two rules stand here:

- from two degrees of freedom on Student's t with :math:`1/\nu = (3 - 2f) f^2/\nu_1 + (1-f)^2/\nu_2`;
- with one (two seeds) Cochran & Cox's critical value :math:`f\,t_{\nu_1} + (1-f)\,t_{\nu_2}` (Cochran & Cox 1957,
  "Experimental Designs", section 4.14; Cochran 1964, "Approximate significance levels of the Behrens-Fisher test").

No rule is exact for all shares at once: that is the Behrens-Fisher problem. f is not known but estimated, from little
where :math:`\nu_1` is small. Satterthwaite's degrees of freedom, which are those above without the factor 3 - 2f, then
reject up to 8 % of true nulls at 5 %; the harmonic mean of both, weighted by their shares, between 3.7 and 5.8 %. The
factor is ours: 1 where the first variance is all of it, and Student's t is right as it is, and 3 where it is little. By
quadrature over what f can be seen as (`tests/reports/statistics/test_two_variances.py`) it rejects 4.3 to 5.6 % for
every true share, from two degrees of freedom on. With one it would reject up to 10 %, and Cochran and Cox's stays
between 2 and 6 %.
"""

import math

from scipy import optimize, special

# Below this many degrees of freedom the share of the variance cannot be trusted.
_TOO_FEW = 1.5
_LARGEST = 1e9
# The smallest tail whose quantile scipy computes for all degrees of freedom; p below is given as 0.
_LOWEST = 1e-200


def freedom_of_sum(*, share: float, few: float, many: float, level: float = 0.95) -> float:
    """Degrees of freedom of Student's t with which the sum is tested at 1 - level, two-sided.

    Args:
        share: Of the variance, that of the estimate with few degrees of freedom, 0 to 1.
        few: Its degrees of freedom.
        many: Those of the other.
        level: At which Cochran and Cox's critical value is met; the other rule does not depend on it.
    """
    if few >= _TOO_FEW:
        return 1.0 / ((3.0 - 2.0 * share) * share**2 / few + (1.0 - share) ** 2 / many)
    critical = _critical(share, few, many, (1.0 - level) / 2)
    low, high = min(few, many), max(few, many, _LARGEST)

    def above(logarithm: float) -> float:
        return -float(special.stdtrit(math.exp(logarithm), (1.0 - level) / 2)) - critical

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
        few: Likewise.
        many: Likewise.
    """
    if few >= _TOO_FEW:
        return 2.0 * float(special.stdtr(freedom_of_sum(share=share, few=few, many=many), -abs(t)))
    if t == 0:
        return 1.0
    if _critical(share, few, many, _LOWEST) <= abs(t):
        return 0.0
    tail = optimize.brentq(
        lambda log: _critical(share, few, many, math.exp(log)) - abs(t), math.log(_LOWEST), math.log(0.5)
    )
    return 2.0 * math.exp(float(tail))


def _critical(share: float, few: float, many: float, tail: float) -> float:
    return -(share * float(special.stdtrit(few, tail)) + (1.0 - share) * float(special.stdtrit(many, tail)))
