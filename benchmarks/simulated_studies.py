r"""Made-up studies with clustered problems and seed effects, in which the truth is known.

.. math:: logit\,p_{asg} = \mu + \delta_a + b_g + \tau_{ag} + u_{as} + \omega_{asg}, \qquad
   c_{asg} \sim Bin(k, p_{asg})

for arm a, seed s, problem g: difficulty b is shared by the arms, :math:`\tau` is what an arm does to a problem, u what
a training seed does to an arm, :math:`\omega` to an arm on a problem, all normal. `benchmarks/calibration.py` runs
every method on them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from reports.statistics.verdicts import VERDICT_COLUMNS

Floats = npt.NDArray[np.float64]


@cache
def _nodes() -> tuple[Floats, Floats]:
    return np.polynomial.hermite_e.hermegauss(80)


@dataclass(frozen=True)
class Population:
    """Where studies are drawn from; standard deviations on the scale of logits.

    Attributes:
        mean: Mean logit of the problems.
        difficulty: Between problems; 2 makes most problems nearly always right or wrong, as in real benchmarks.
        interaction: Between arms on a problem.
        seed: Between training seeds of an arm.
        seed_problem: Between training seeds of an arm on a problem.
    """

    mean: float = 0.0
    difficulty: float = 2.0
    interaction: float = 0.3
    seed: float = 0.0
    seed_problem: float = 0.3

    @property
    def spread(self) -> float:
        """Standard deviation of the logit of an arm, over all of the above."""
        return float(np.sqrt(self.difficulty**2 + self.interaction**2 + self.seed**2 + self.seed_problem**2))

    def accuracy(self, *, effect: float = 0.0) -> float:
        """The true accuracy of an arm with this effect on the logit (Gauss-Hermite, 80 nodes)."""
        nodes, weights = _nodes()
        return float(special.expit(self.mean + effect + self.spread * nodes) @ weights / weights.sum())

    def effect_for(self, *, difference: float) -> float:
        """The effect on the logit that raises the true accuracy by this much (bisection)."""
        low, high = -20.0, 20.0
        for _ in range(80):
            middle = (low + high) / 2
            reached = self.accuracy(effect=middle) - self.accuracy() < difference
            low, high = (middle, high) if reached else (low, middle)
        return low


def draw_logits(
    *, random: np.random.Generator, population: Population, effects: Sequence[float] | Floats, problems: int
) -> Floats:
    """Logit of each arm on each problem before training seeds move it, (arms, 1 or seeds, problems).

    Args:
        random: Source of randomness.
        population: Its variances.
        effects: Effect of each arm on the logit, (arms,), or of each of its seeds, (arms, seeds).
        problems: Problems G.
    """
    arms = len(effects)
    return np.asarray(
        population.mean
        + np.asarray(effects, dtype=np.float64).reshape(arms, -1, 1)
        + population.difficulty * random.standard_normal((1, 1, problems))
        + population.interaction * random.standard_normal((arms, 1, problems))
    )


def draw_answers(
    *, random: np.random.Generator, population: Population, logits: Floats, seeds: int, samples: int
) -> npt.NDArray[np.int64]:
    """Right samples of one study on these problems, (arms, seeds, problems).

    Args:
        random: Source of randomness.
        population: Its variances.
        logits: From `draw_logits`.
        seeds: Training seeds S.
        samples: k.
    """
    arms, _, problems = logits.shape
    moved = (
        logits
        + population.seed * random.standard_normal((arms, seeds, 1))
        + population.seed_problem * random.standard_normal((arms, seeds, problems))
    )
    return np.asarray(random.binomial(samples, special.expit(moved)), dtype=np.int64)


def draw_counts(
    *,
    random: np.random.Generator,
    population: Population,
    effects: Sequence[float] | Floats,
    seeds: int,
    problems: int,
    samples: int,
) -> npt.NDArray[np.int64]:
    """Right samples of one study on problems of its own: `draw_logits`, then `draw_answers`."""
    logits = draw_logits(random=random, population=population, effects=effects, problems=problems)
    return draw_answers(random=random, population=population, logits=logits, seeds=seeds, samples=samples)


def as_verdicts(*, counts: npt.NDArray[np.int64], samples: int, benchmark: str = "made up") -> pd.DataFrame:
    """The same as a tidy frame (`VERDICT_COLUMNS`), arms named ``arm 0``, ``arm 1`` and so on."""
    arm, seed, problem = (index.ravel() for index in np.indices(counts.shape))
    columns = [np.char.add("arm ", arm.astype(str)), seed, benchmark, np.char.add("p", problem.astype(str))]
    return pd.DataFrame(dict(zip(VERDICT_COLUMNS, [*columns, counts.ravel(), samples], strict=True)))
