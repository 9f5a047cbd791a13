"""What `calibration.py` runs: made-up studies, every method on each of them, and how often it was right.

Each function simulates one scenario and returns rows of a table. Shares are in per cent; the target is 5 % (tests) and
95 % (intervals), each within one point.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special, stats

from benchmarks.simulated_studies import Population, as_verdicts, draw_counts
from reports.statistics.crossed import CrossedEstimate, crossed_mean
from reports.statistics.effects import equivalence_p
from reports.statistics.logistic import logistic_regression
from reports.statistics.odds_ratios import arm_odds_ratios
from reports.statistics.paired_tests import mcnemar_mid_p, sign_flip_test, two_proportion_z
from reports.statistics.power import detectable_with
from reports.statistics.recovery import recovery_fraction
from reports.statistics.surface import response_surface
from reports.statistics.tails import EDGES, fit_tail, validate_tail

Row = dict[str, object]
Floats = npt.NDArray[np.float64]


def per_cent(hits: Sequence[bool] | npt.ArrayLike) -> str:
    """A share with its Monte-Carlo standard error, in per cent."""
    values = np.asarray(hits, dtype=np.float64)
    share = float(values.mean())
    return f"{100 * share:.1f} ± {100 * np.sqrt(max(share * (1 - share), 1 / len(values) ** 2) / len(values)):.1f}"


def markdown(rows: Sequence[Row]) -> str:
    """Rows as a table, without the columns that are empty in all of them."""
    names = list(rows[0])
    kept = [name for name in names if any(row[name] != "" for row in rows)]
    lines = ["| " + " | ".join(kept) + " |", "|" + " --- |" * len(kept)]
    return "\n".join([*lines, *("| " + " | ".join(str(row[name]) for name in kept) + " |" for row in rows)])


def covers(estimate: CrossedEstimate, truth: float) -> bool:
    """Whether the interval holds the truth."""
    return estimate.low <= truth <= estimate.high


def two_arms(
    *,
    random: np.random.Generator,
    repeats: int,
    population: Population,
    seeds: int,
    problems: int,
    samples: int,
    slow: int = 0,
    difference: float = 0.0,
    note: str = "",
) -> list[Row]:
    """Two arms: tests of no difference, and coverage of the difference; `slow` of the repeats for slow methods."""
    effect = population.effect_for(difference=difference) if difference else 0.0
    flips, rejected, covered, naive, cornered, means = [], [], [], [], [], []
    logistic, satterthwaite = [], []
    for repeat in range(repeats):
        counts = draw_counts(
            random=random, population=population, effects=(effect, 0.0), seeds=seeds, problems=problems, samples=samples
        )
        shares = counts / samples
        estimate = crossed_mean(blocks=[shares[0] - shares[1]])
        rejected.append(estimate.p < 0.05)
        covered.append(covers(estimate, difference))
        if seeds > 1:
            satterthwaite.append(_satterthwaite_p(shares[0] - shares[1]) < 0.05)
        means.append((shares[0] - shares[1]).mean(axis=0))
        size = seeds * problems * samples
        _, p = two_proportion_z(
            treated_correct=int(counts[0].sum()),
            treated_samples=size,
            reference_correct=int(counts[1].sum()),
            reference_samples=size,
        )
        naive.append(p < 0.05)
        if samples == seeds == 1:
            won, lost = (int((counts[a] > counts[b]).sum()) for a, b in ((0, 1), (1, 0)))
            cornered.append(mcnemar_mid_p(only_treated=won, only_reference=lost) < 0.05)
        if repeat < slow:
            verdicts = as_verdicts(counts=counts, samples=samples)
            logistic.append(arm_odds_ratios(verdicts=verdicts, baseline="arm 1")["p"].iloc[0] < 0.05)
    for start in range(0, repeats, 500):
        chunk = np.column_stack(means[start : start + 500])
        flips += (sign_flip_test(differences=chunk, resamples=1999, seed=start) < 0.05).tolist()
    row: Row = {
        "seeds": seeds,
        "problems": problems,
        "k": samples,
        "seed SD (logit)": population.seed,
        "t, this package": per_cent(rejected),
        "interval covers": per_cent(covered),
        "sign flip": per_cent(flips),
        "t, Satterthwaite": per_cent(satterthwaite) if satterthwaite else "",
        "logistic": per_cent(logistic) if logistic else "",
        "McNemar mid-p": per_cent(cornered) if cornered else "",
        "z over samples": per_cent(naive),
        "note": note,
    }
    return [row]


def _satterthwaite_p(values: Floats) -> float:
    """The quasi-F test with the degrees of freedom that textbooks give it, for comparison."""
    seeds, problems = values.shape
    of_seeds = problems * values.mean(axis=1).var(ddof=1)
    of_problems = seeds * values.mean(axis=0).var(ddof=1)
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    residual = (rest**2).sum() / ((seeds - 1) * (problems - 1))
    total = of_seeds + max(0.0, of_problems - residual)
    freedom = total**2 / (of_seeds**2 / (seeds - 1) + max(0.0, of_problems - residual) ** 2 / (problems - 1))
    return float(2 * stats.t.sf(abs(values.mean()) / np.sqrt(total / values.size), freedom))


def different_problems(*, random: np.random.Generator, repeats: int, problems: int, samples: int) -> list[Row]:
    """Two arms of the same accuracy, each on problems of its own, as when two papers are compared."""
    hits, welch = [], []
    for _ in range(repeats):
        settings = {"population": Population(), "effects": (0.0,), "seeds": 1, "problems": problems, "samples": samples}
        first, second = (draw_counts(random=random, **settings)[0] for _ in range(2))
        size = problems * samples
        _, p = two_proportion_z(
            treated_correct=int(first.sum()),
            treated_samples=size,
            reference_correct=int(second.sum()),
            reference_samples=size,
        )
        hits.append(p < 0.05)
        welch.append(stats.ttest_ind(first[0], second[0], equal_var=False).pvalue < 0.05)
    row: Row = {"problems of each": problems, "k": samples, "z over samples": per_cent(hits)}
    return [{**row, "t over problem means": per_cent(welch)}]


def power(
    *,
    random: np.random.Generator,
    repeats: int,
    population: Population,
    seeds: int,
    problems: int,
    differences: Sequence[float],
) -> list[Row]:
    """Power against the true difference, simulated and predicted from variance components."""
    rows: list[Row] = []
    for difference in differences:
        effects = (population.effect_for(difference=difference) if difference else 0.0, 0.0)
        found: list[CrossedEstimate] = []
        for _ in range(repeats):
            shares = draw_counts(
                random=random, population=population, effects=effects, seeds=seeds, problems=problems, samples=16
            )
            found.append(crossed_mean(blocks=[(shares[0] - shares[1]) / 16]))
        spread = float(np.std([one.value for one in found]))
        freedom = float(np.median([one.degrees_of_freedom for one in found]))
        predicted = _power(difference / spread, freedom)
        detectable = [detectable_with(components=one.components, seeds=seeds, problems=problems) for one in found[:500]]
        rows.append(
            {
                "seeds": seeds,
                "problems": problems,
                "true difference (points)": f"{100 * difference:g}",
                "rejected": per_cent([one.p < 0.05 for one in found]),
                "predicted power": f"{100 * predicted:.0f}",
                "interval covers": per_cent([covers(one, difference) for one in found]),
                "detectable at 80 % (median, points)": f"{100 * float(np.median(detectable)):.1f}",
            }
        )
    return rows


def _power(shift: float, freedom: float) -> float:
    """Chance that a two-sided t test at 5 % rejects when the truth lies so many standard errors from 0."""
    critical = float(special.stdtrit(freedom, 0.975))
    below = float(special.nctdtr(freedom, shift, -critical))
    return below + 1.0 - float(special.nctdtr(freedom, shift, critical))


def equivalence(
    *, random: np.random.Generator, repeats: int, population: Population, seeds: int, problems: int, margin: float
) -> list[Row]:
    """How often TOST calls arms equivalent that differ by exactly the margin (false), and by nothing (power)."""
    row: Row = {"seeds": seeds, "problems": problems, "margin (points)": f"{100 * margin:g}"}
    for name, difference in (("equivalent at the margin (target: 5)", margin), ("equivalent without difference", 0.0)):
        effects = (population.effect_for(difference=difference) if difference else 0.0, 0.0)
        hits = []
        for _ in range(repeats):
            counts = draw_counts(
                random=random, population=population, effects=effects, seeds=seeds, problems=problems, samples=16
            )
            estimate = crossed_mean(blocks=[(counts[0] - counts[1]) / 16])
            hits.append(equivalence_p(estimate=estimate, margin=margin) < 0.05)
        row[name] = per_cent(hits)
    return [row]


def recovery(*, random: np.random.Generator, repeats: int, population: Population, seeds: int, gap: float) -> list[Row]:
    """Coverage of the recovery fraction (true value 40 % of the gap)."""
    effects = [population.effect_for(difference=gap), 0.0, population.effect_for(difference=0.4 * gap)]
    fieller, undefined = [], 0
    for _ in range(repeats):
        shares = (
            draw_counts(random=random, population=population, effects=effects, seeds=seeds, problems=560, samples=16)
            / 16
        )
        arms = {"upper": [shares[0]], "lower": [shares[1]], "candidate": [shares[2]]}
        found = recovery_fraction(**arms, at_least=0.5)
        undefined += found.verdict == "undefined"
        if found.verdict != "undefined":
            fieller.append(found.low <= 0.4 <= found.high)
    return [
        {
            "seeds": seeds,
            "seed SD (logit)": population.seed,
            "gap (points)": f"{100 * gap:g}",
            "undefined": per_cent(np.arange(repeats) < undefined),
            "Fieller covers": per_cent(fieller),
        }
    ]


def slope(*, random: np.random.Generator, repeats: int, arms: int, spread: float) -> list[Row]:
    """Accuracy against log gain over arms when there is no slope, arms differing by themselves."""
    rejected, naive = [], []
    for _ in range(repeats):
        gain = random.uniform(-6, -1, size=arms)
        effects = spread * random.standard_normal(arms)
        counts = draw_counts(
            random=random, population=Population(), effects=effects.tolist(), seeds=1, problems=100, samples=16
        )
        table = as_verdicts(counts=counts, samples=16)
        table["log_gain"] = np.repeat(gain, 100)
        for cluster, hits in (("arm", rejected), (None, naive)):
            fit = logistic_regression(table=table, regressors=["log_gain"], cluster=cluster).table(names=["log_gain"])
            hits.append(fit["p"].iloc[0] < 0.05)
    cells = {"arms": arms, "SD between arms (logit)": spread}
    return [{**cells, "clustered by arm and problem": per_cent(rejected), "by problem alone": per_cent(naive)}]


def surface(*, random: np.random.Generator, repeats: int, arms: int) -> list[Row]:
    """Pointwise coverage of a quadratic surface inside of the arms' hull."""
    hits = []
    for _ in range(repeats):
        x, y = random.uniform(-6, -1, size=arms), random.uniform(-3, 1, size=arms)

        def logit(x: Floats, y: Floats) -> Floats:
            return 0.4 - 0.15 * (x + 3) ** 2 + 0.1 * y + 0.05 * x * y

        logits = logit(x, y) + 0.15 * random.standard_normal(arms)
        counts = random.binomial(1600, special.expit(logits))
        table = pd.DataFrame({"arm": range(arms), "gain": np.exp(x), "threshold": np.exp(y), "correct": counts})
        fit = response_surface(table=table.assign(samples=1600))
        at = np.column_stack([random.uniform(-5, -2, size=5), random.uniform(-2.5, 0.5, size=5)])
        found = fit.predict(gain=np.exp(at[:, 0]), threshold=np.exp(at[:, 1]))
        truth = special.expit(logit(at[:, 0], at[:, 1]))
        inside = ~found["extrapolated"].to_numpy()
        hits += ((found["low"] <= truth) & (truth <= found["high"]))[inside].tolist()
    return [{"arms": arms, "points": len(hits), "interval covers": per_cent(hits)}]


def tail(*, random: np.random.Generator, repeats: int, steps: int, tokens: int) -> list[Row]:
    """Clip fractions from a tail model, Student t with 3 degrees of freedom, scale differing between steps by 10 %."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    targets = (1e-2, 1e-3, 1e-4, 1e-5)

    def above(x: float) -> float:
        return float((2 * stats.t.sf(x * np.exp(-0.1 * nodes), 3)) @ weights / weights.sum())

    levels = [_solve(above, target) for target in targets]
    covered, ratio, inside = ([[] for _ in targets] for _ in range(3))
    for _ in range(repeats):
        scales = np.exp(0.1 * random.standard_normal(2 * steps))
        values = (scale * np.abs(random.standard_t(3, size=tokens)) for scale in scales)
        counts = np.array([np.histogram(step, bins=EDGES)[0] for step in values])
        half = np.arange(2 * steps) >= steps
        model = fit_tail(counts=counts[~half])
        logarithm, draws = model.log_share_draws(levels)
        share, (low, high) = np.exp(logarithm), np.quantile(np.exp(draws), [0.025, 0.975], axis=0)
        checked = validate_tail(counts=counts, held_out=half, levels=levels)[1]
        for number, target in enumerate(targets):
            covered[number].append(low[number] <= target <= high[number])
            ratio[number].append(share[number] / target)
            inside[number].append(checked["inside"][number])
    return [
        {
            "steps": steps,
            "tokens": steps * tokens,
            "true clip fraction": f"{target:g}",
            "tokens expected above": f"{steps * tokens * target:g}",
            "predicted / true (median)": f"{np.median(ratio[number]):.2f}",
            "interval covers": per_cent(covered[number]),
            "held-out count inside": per_cent(inside[number]),
        }
        for number, target in enumerate(targets)
    ]


def _solve(function: Callable[[float], float], target: float) -> float:
    low, high = 0.1, 1e4
    for _ in range(80):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if function(middle) > target else (low, middle)
    return low
