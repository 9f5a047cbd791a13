"""inspect_ai's and rliable's intervals and ours on the same simulated studies, side by side.

    pip install inspect_ai==0.3.285 rliable==1.2.0 'pandas<3'  # into an environment of its own
    python benchmarks/peers.py --repeats 1000 --seed 1 --write

Two arms without a difference, with training seeds that move whole arms (`simulated_studies.py`). inspect_ai gives
standard errors: `stderr` of scores clustered by problem, and, as Miller (2024) recommends, of the paired differences;
normal quantiles make them intervals. rliable gives percentile intervals of a bootstrap that draws seeds anew and keeps
problems; it has a tenth of the repeats, since it resamples each study hundreds of times.

`--write` puts the table into its section of `benchmarks/calibration.md`.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import re
import sys
from pathlib import Path

import numpy as np
from scipy import special

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.calibration_methods import Floats, Row, markdown, per_cent
from benchmarks.simulated_studies import Population, draw_counts
from reports.statistics.crossed import crossed_mean
from reports.statistics.effects import probability_of_improvement
from reports.statistics.mean_share import mean_share

try:
    from inspect_ai.scorer import SampleScore, Score, stderr
    from rliable import library, metrics
except ImportError as error:
    sys.exit(f"{error}: pip install inspect_ai==0.3.285 rliable==1.2.0 'pandas<3', into an environment of its own")

_HEADING = "Peers on the same samples"
_TEXT = (
    "Two arms, no difference, k = 16. Accuracy of one of them, their difference, and the chance that a problem goes "
    "better with one (true: 50 %): how often the 95 % interval holds the truth, and half its median width in points. "
    "Whatever does not cover the difference is a false alarm. inspect_ai 0.3.285: standard errors clustered by problem "
    "(of differences, paired), ±1.96 of them; they know nothing of seeds. rliable 1.2.0: percentile bootstrap over "
    "seeds, which keeps the problems; its chance of going better takes a rank test a problem and resample, and is left "
    "out of larger sets. With one seed all speak of the trained models, and rliable has nothing to draw."
)
_SAMPLES, _PART, _RESAMPLES = 16, 10, 400
# Problems up to which rliable finds the chance that one goes better within seconds.
_FEW = 30
_MEASURES = ("accuracy", "difference", "better")
# Seeds, problems, standard deviation between seeds.
_STUDIES = ((1, 560, 0.0), (1, 30, 0.0), (3, 560, 0.05), (3, 560, 0.2), (3, 30, 0.2), (5, 560, 0.2))

Ends = dict[str, tuple[float, float]]


def ours(arms: Floats) -> Ends:
    """Return our intervals; ``arms`` has shares, (2, seeds, problems)."""
    accuracy, difference = mean_share(values=arms[0]), crossed_mean(blocks=[arms[0] - arms[1]])
    better = probability_of_improvement(treated=[arms[0]], reference=[arms[1]])
    return {
        "accuracy": (accuracy.low, accuracy.high),
        "difference": (difference.low, difference.high),
        "better": better[1:],
    }


def of_inspect(arms: Floats) -> Ends:
    """Return inspect_ai's, after its epochs are averaged to one score a problem; it has no third measure."""
    scores = [
        SampleScore(score=Score(value=float(value)), sample_metadata={"problem": problem})
        for of_seed in arms[0]
        for problem, value in enumerate(of_seed)
    ]
    paired = [SampleScore(score=Score(value=float(value))) for value in (arms[0] - arms[1]).mean(axis=0)]
    found = {"accuracy": (float(arms[0].mean()), stderr(cluster="problem")(scores))}
    found["difference"] = (float((arms[0] - arms[1]).mean()), stderr()(paired))
    z = float(special.ndtri(0.975))
    return {name: (value - z * error, value + z * error) for name, (value, error) in found.items()}


def of_rliable(arms: Floats, seed: int) -> Ends:
    """Return rliable's, with problems as its tasks and seeds as its runs."""
    settings = {"reps": _RESAMPLES, "random_state": np.random.RandomState(seed)}
    pair = {"pair": (arms[0], arms[1])}
    _, accuracy = library.get_interval_estimates(
        {"arm": arms[0]}, lambda x: np.array([metrics.aggregate_mean(x)]), **settings
    )
    _, difference = library.get_interval_estimates(pair, lambda x, y: np.array([x.mean() - y.mean()]), **settings)
    found = {"accuracy": accuracy["arm"], "difference": difference["pair"]}
    if arms.shape[2] <= _FEW:
        found["better"] = library.get_interval_estimates(
            pair, lambda x, y: np.array([metrics.probability_of_improvement(x, y)]), **settings
        )[1]["pair"]
    return {name: (float(ends[0, 0]), float(ends[1, 0])) for name, ends in found.items()}


def study(*, random: np.random.Generator, repeats: int, seeds: int, problems: int, spread: float) -> list[Row]:
    """One row a package."""
    population = Population(seed=spread)
    truths = dict(zip(_MEASURES, (population.accuracy(), 0.0, 0.5), strict=True))
    found: dict[str, list[Ends]] = {"this package": [], "inspect_ai": [], "rliable": []}
    for repeat in range(repeats):
        arms = (
            draw_counts(
                random=random,
                population=population,
                effects=(0.0, 0.0),
                seeds=seeds,
                problems=problems,
                samples=_SAMPLES,
            )
            / _SAMPLES
        )
        found["this package"].append(ours(arms))
        found["inspect_ai"].append(of_inspect(arms))
        if repeat % _PART == 0:
            found["rliable"].append(of_rliable(arms, repeat))
    rows: list[Row] = []
    for package, several in found.items():
        row: Row = {"seeds": seeds, "problems": problems, "seed SD (logit)": spread, "package": package}
        for name, truth in truths.items():
            ends = np.array([one[name] for one in several if name in one])
            row[f"{name} covered"] = per_cent((ends[:, 0] <= truth) & (truth <= ends[:, 1])) if len(ends) else ""
            row[f"{name}, ±"] = f"{50 * np.median(ends[:, 1] - ends[:, 0]):.1f}" if len(ends) else ""
        rows.append(row)
    return rows


def main() -> None:
    """Run all studies one after the other, print their table, write it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1000, help="simulated studies of each row")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="replace its section of benchmarks/calibration.md")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for number, (seeds, problems, spread) in enumerate(_STUDIES):
        random = np.random.default_rng([arguments.seed, number])
        rows += study(random=random, repeats=arguments.repeats, seeds=seeds, problems=problems, spread=spread)
        print(rows[-3:], file=sys.stderr, flush=True)
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
