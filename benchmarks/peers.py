"""inspect_ai's and rliable's intervals and ours on the same simulated studies, side by side.

    pip install inspect_ai==0.3.285 rliable==1.2.0 'pandas<3'  # into an environment of its own
    python benchmarks/peers.py --repeats 1000 --seed 1 --write

Two arms without a difference, with training seeds that move whole arms (`simulated_studies.py`). Each interval is held
against two truths: the mean over all problems that could be asked, and over those of the study. Whoever keeps the
problems promises the second alone. rliable has a quarter of the repeats and 200 resamples, which takes most of the
time all the same.

`--write` puts the table into its section of `benchmarks/calibration.md`.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import gc
import re
import sys
from pathlib import Path

import numpy as np
from scipy import special

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.calibration_methods import Floats, Row, markdown, per_cent
from benchmarks.simulated_studies import Population, draw_answers, draw_logits
from reports.statistics.crossed import crossed_mean
from reports.statistics.effects import probability_of_improvement
from reports.statistics.mean_share import mean_share

try:
    from inspect_ai.scorer import SampleScore, Score, ci
    from rliable import library, metrics
except ImportError as error:
    sys.exit(f"{error}: pip install inspect_ai==0.3.285 rliable==1.2.0 'pandas<3', into an environment of its own")

_HEADING = "Peers on the same samples"
_TEXT = (
    "Two arms, no difference, k = 16: accuracy of one of them, their difference, and the probability of improvement "
    "(that a problem goes better with one: truly 50 %). How often the 95 % interval holds the mean over new seeds on "
    "_all problems_ that could be asked, and on _these_ alone, the study's own; ±: half its median width in points. "
    "**This package** promises the first (with one seed, of the trained models); it holds the second more often, "
    "since problems are part of its width. **inspect_ai** 0.3.285 (`ci`: Student's t, clustered by problem; of "
    "differences, paired) promises the first over problems, and knows nothing of seeds. **rliable** 1.2.0 "
    "(percentile bootstrap) promises the second, for seeds that are drawn anew on each problem, as where each game "
    "is trained by itself: the row of five seeds with SD 0 is its own case, and a percentile bootstrap of few seeds "
    "is short by itself. Where one training moves all problems, it counts each of them as a training of its own; "
    'with one seed it has nothing to draw. Its `task_bootstrap` ("rliable, tasks") draws problems too and promises '
    "the first; it has none of pairs and is given their differences."
)
_SAMPLES, _PART, _RESAMPLES = 16, 4, 200
_MEASURES = ("accuracy", "difference", "improvement")
# Seeds, problems, standard deviation between seeds.
_STUDIES = ((1, 200, 0.0), (1, 30, 0.0), (3, 200, 0.05), (3, 200, 0.2), (3, 30, 0.2), (5, 200, 0.0), (5, 200, 0.2))

Ends = dict[str, tuple[float, float]]


def ours(arms: Floats) -> Ends:
    """Return our intervals; ``arms`` has shares, (2, seeds, problems)."""
    accuracy, difference = mean_share(values=arms[0]), crossed_mean(blocks=[arms[0] - arms[1]])
    better = probability_of_improvement(treated=[arms[0]], reference=[arms[1]])
    return {
        "accuracy": (accuracy.low, accuracy.high),
        "difference": (difference.low, difference.high),
        "improvement": better[1:],
    }


def of_inspect(arms: Floats) -> Ends:
    """Return inspect_ai's, after its epochs are averaged to one score a problem; it has no third measure."""
    scores = [
        SampleScore(score=Score(value=float(value)), sample_metadata={"problem": problem})
        for of_seed in arms[0]
        for problem, value in enumerate(of_seed)
    ]
    paired = [SampleScore(score=Score(value=float(value))) for value in (arms[0] - arms[1]).mean(axis=0)]
    found = {"accuracy": ci(cluster="problem")(scores), "difference": ci()(paired)}
    return {name: (float(ends["lower"]), float(ends["upper"])) for name, ends in found.items()}


def of_rliable(arms: Floats) -> Ends:
    """Return rliable's, with problems as its tasks and seeds as its runs."""
    pair = {"pair": (arms[0], arms[1])}
    return {
        "accuracy": _bootstrap({"arm": arms[0]}, metrics.aggregate_mean),
        "difference": _bootstrap(pair, lambda x, y: x.mean() - y.mean()),
        "improvement": _bootstrap(pair, _improvement),
    }


def of_tasks(arms: Floats) -> Ends:
    """Return rliable's with problems drawn too."""
    found = {"accuracy": arms[0], "difference": arms[0] - arms[1]}
    return {
        name: _bootstrap({name: values}, metrics.aggregate_mean, task_bootstrap=True) for name, values in found.items()
    }


def _bootstrap(scores, measure, **settings) -> tuple[float, float]:
    """One of rliable's intervals; its resamples come from numpy's global state, whatever it is given."""
    found = library.get_interval_estimates(scores, lambda *x: np.array([measure(*x)]), reps=_RESAMPLES, **settings)
    ((low,), (high,)) = next(iter(found[1].values()))
    return float(low), float(high)


def _improvement(x: Floats, y: Floats) -> float:
    """rliable's `probability_of_improvement` without the rank test's p, which takes nearly all of its time."""
    return float((np.sign(x[:, None] - y[None]) / 2 + 0.5).mean())


def _on_these(population: Population, logits: Floats) -> tuple[float, float, float]:
    """The three true values over new seeds on problems of these logits, (2, 1, problems), by Gauss-Hermite."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    spread = np.hypot(population.seed, population.seed_problem)
    shares = special.expit(logits[:, 0, :, None] + spread * nodes)
    first, second = shares @ weights / weights.sum()
    right = np.arange(_SAMPLES + 1)
    powers = shares[:, :, None] ** right[:, None] * (1 - shares[:, :, None]) ** (_SAMPLES - right[:, None])
    x, y = special.comb(_SAMPLES, right) * (powers @ weights / weights.sum())
    better = np.sum(x * (np.cumsum(y, axis=1) - y / 2), axis=1)
    return float(first.mean()), float(first.mean() - second.mean()), float(better.mean())


def study(*, random: np.random.Generator, repeats: int, seeds: int, problems: int, spread: float) -> list[Row]:
    """One row a package."""
    population = Population(seed=spread)
    np.random.seed(random.integers(2**32))
    packages = {"this package": ours, "inspect_ai": of_inspect, "rliable": of_rliable, "rliable, tasks": of_tasks}
    found: dict[str, list[tuple[Ends, tuple[float, ...]]]] = {name: [] for name in packages}
    for repeat in range(repeats):
        logits = draw_logits(random=random, population=population, effects=(0.0, 0.0), problems=problems)
        counts = draw_answers(random=random, population=population, logits=logits, seeds=seeds, samples=_SAMPLES)
        arms, truths = counts / _SAMPLES, _on_these(population, logits)
        if repeat == 0 and not np.isclose(_improvement(*arms), metrics.probability_of_improvement(*arms)):
            sys.exit("probability of improvement is not rliable's")
        for name, package in packages.items():
            if "rliable" not in name or repeat % _PART == 0:
                found[name].append((package(arms), truths))
    rows: list[Row] = []
    for name, several in found.items():
        row: Row = {"seeds": seeds, "problems": problems, "seed SD (logit)": spread, "package": name}
        for number, (measure, truth) in enumerate(zip(_MEASURES, (population.accuracy(), 0.0, 0.5), strict=True)):
            ends = np.array([(*one[measure], kept[number]) for one, kept in several if measure in one]).reshape(-1, 3)
            low, high, of_these = ends.T
            row |= {
                f"{measure}, all problems": per_cent((low <= truth) & (truth <= high)) if len(ends) else "",
                f"{measure}, these": per_cent((low <= of_these) & (of_these <= high)) if len(ends) else "",
                f"{measure}, ±": f"{50 * np.median(high - low):.1f}" if len(ends) else "",
            }
        rows.append(row)
    return rows


def main() -> None:
    """Run all studies one after the other, print their table, write it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1000, help="simulated studies of each row")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="replace its section of benchmarks/calibration.md")
    arguments = parser.parse_args()
    gc.freeze()  # else what has been imported is gone over for every few of inspect_ai's scores
    rows: list[Row] = []
    for number, (seeds, problems, spread) in enumerate(_STUDIES):
        random = np.random.default_rng([arguments.seed, number])
        rows += study(random=random, repeats=arguments.repeats, seeds=seeds, problems=problems, spread=spread)
        print(rows[-4:], file=sys.stderr, flush=True)
    run = f"`python benchmarks/peers.py --repeats {arguments.repeats} --seed {arguments.seed}`"
    section = "\n\n".join([f"## {_HEADING}", f"{_TEXT} {run}", markdown(rows)])
    print(section)
    if arguments.write:
        file = Path(__file__).parent / "calibration.md"
        old = file.read_text(encoding="utf-8")
        without = re.sub(rf"\n## {_HEADING}\n.*?(?=\n## |\Z)", "", old, flags=re.DOTALL)
        head, last = without.rsplit("\n## ", 1)
        file.write_text(f"{head}\n{section}\n\n## {last}", encoding="utf-8")


if __name__ == "__main__":
    main()
