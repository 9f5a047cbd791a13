r"""Performance profiles: the share of problems in which an arm's accuracy exceeds each level.

.. math:: \hat F(\tau) = \frac{1}{SG} \sum_{sg} 1[x_{sg} > \tau]

for the accuracy x of problem g with seed s (Dolan & Moré 2002; Agarwal et al. 2021, "Deep Reinforcement Learning at the
Edge of the Statistical Precipice", arXiv 2108.13264, section 4.2, with problems in the place of tasks). Its mean over
:math:`\tau` is the accuracy; its shape says whether an arm is better on all problems or on some.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.statistics.mean_share import mean_share

_MOST_LEVELS = 32


def performance_profile(*, values: npt.ArrayLike, samples: int) -> pd.DataFrame:
    """The profile of one arm with 95 % intervals over seeds and problems, each for its level alone (`mean_share`).

    Args:
        values: Shares of right samples (S, G).
        samples: Samples k of a problem: levels are the multiples of 1/k below 1, of many at most 32.

    Returns:
        One row a level: level, share, low, high.
    """
    shares = np.atleast_2d(np.asarray(values, dtype=np.float64))
    rows = []
    for level in np.arange(samples)[:: -(-samples // _MOST_LEVELS)] / samples:
        # Half a sample above, where no share lies: shares are as exact as their division.
        found = mean_share(values=shares > level + 0.5 / samples)
        rows.append((level, found.value, found.low, found.high))
    return pd.DataFrame(rows, columns=["level", "share", "low", "high"])
