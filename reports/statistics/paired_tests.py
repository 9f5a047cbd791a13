"""Tests of two arms on the same problems that assume no distribution, and the one that assumes too much.

None of them knows of training seeds: they compare the models that were trained, over the choice of problems.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportions_ztest

Floats = npt.NDArray[np.float64]
_EXACT = 12  # with more problems that differ, 2^m sign patterns are too many to list for every arm


def sign_flip_test(*, differences: npt.ArrayLike, resamples: int = 9999, seed: int = 0) -> Floats:
    r"""Two-sided paired permutation test of every column: are differences symmetric around 0?

    Under the null the two arms' results on a problem could be swapped, which turns the sign of its difference. With
    signs :math:`\epsilon_g`,

    .. math:: p = \frac{1 + \#\{r : |\sum_g \epsilon_{rg} d_g| \ge |\sum_g d_g|\}}{1 + R},

    which is valid for every R (Phipson & Smyth 2010). Where at most 12 problems differ, all patterns are listed and p
    is exact. Problems must be independent.

    `scipy.stats.permutation_test` (``permutation_type="samples"``) does the same for one arm at a time; here all arms
    share the signs, one matrix product, a hundred times faster for 200 arms. The tests compare the two.

    Args:
        differences: Mean difference of each problem (G,) or (G, M arms); NaN for a problem that an arm lacks.
        resamples: Random sign patterns R.
        seed: Seed of the patterns.

    Returns:
        p of every column (M,); 1 where no problem differs.
    """
    table = np.asarray(differences, dtype=np.float64)
    table = np.nan_to_num(table[:, None] if table.ndim == 1 else table)
    p = np.ones(table.shape[1])
    differing = (table != 0).sum(axis=0)
    for column in np.flatnonzero((differing > 0) & (differing <= _EXACT)):
        values = table[table[:, column] != 0, column]
        patterns = 1.0 - 2.0 * ((np.arange(2 ** len(values))[:, None] >> np.arange(len(values))) & 1)
        p[column] = _at_least(np.abs(patterns @ values), np.abs(values.sum())[None]).mean()
    many = np.flatnonzero(differing > _EXACT)
    if many.size:
        signs = 1.0 - 2.0 * np.random.default_rng(seed).integers(0, 2, size=(resamples, len(table)))
        reached = _at_least(np.abs(signs @ table[:, many]), np.abs(table[:, many].sum(axis=0)))
        p[many] = (1 + reached.sum(axis=0)) / (1 + resamples)
    return p


def _at_least(sums: Floats, observed: Floats) -> npt.NDArray[np.bool_]:
    """Sums that are equal but for rounding count as equal."""
    return np.asarray(sums >= observed * (1 - 1e-9) - 1e-12)


def mcnemar_mid_p(*, only_treated: int, only_reference: int) -> float:
    r"""McNemar's test at k = 1, where each arm answered each problem once: the two-sided mid-p value.

    .. math:: p = p_{exact} - P(X = \min(b, c)), \quad X \sim Bin(b + c, 1/2)

    The exact test (statsmodels ``mcnemar(exact=True)``) rejects far less often than asked because its p-values are few;
    the mid-p value comes close to the level without passing it (Fagerland, Lydersen & Laake 2013, BMC Medical Research
    Methodology 13:91).

    Args:
        only_treated: Problems b that the treated arm alone got right.
        only_reference: Problems c that the reference alone got right.

    Returns:
        p; 1 where each arm was right alone equally often.
    """
    if only_treated == only_reference:
        return 1.0
    total, fewer = only_treated + only_reference, min(only_treated, only_reference)
    exact = float(mcnemar([[0, only_treated], [only_reference, 0]], exact=True).pvalue)
    return exact - float(stats.binom.pmf(fewer, total, 0.5))


def two_proportion_z(
    *, treated_correct: int, treated_samples: int, reference_correct: int, reference_samples: int
) -> tuple[float, float]:
    """z and two-sided p of the pooled two-proportion test over samples (statsmodels ``proportions_ztest``).

    For comparison with papers that report it and for nothing else: **it ignores clustering**. Samples of one problem
    are not independent, arms share problems, and neither is taken into account.

    Returns:
        z and p; NaN where no sample, or every sample, is right.
    """
    right = treated_correct + reference_correct
    if right in (0, treated_samples + reference_samples):
        return math.nan, math.nan
    z, p = proportions_ztest([treated_correct, reference_correct], [treated_samples, reference_samples])
    return float(z), float(p)
