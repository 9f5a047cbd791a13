"""Do the report's tests and intervals keep their promises? Simulated studies in which the truth is known.

Problems are clusters of samples, training seeds move whole arms, and arms share problems
(`simulated_studies.py`). Counted is how often a test of a true null rejects (nominal 5 %), how often an
interval covers the truth (nominal 95 %), and power.

    python benchmarks/calibration.py --repeats 4000 --seed 1 --write

`--write` puts the tables into `benchmarks/calibration.md`; with `--only` those chosen, and leaves the others.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one process a core

import argparse
import gc
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.calibration_accuracy import accuracy
from benchmarks.calibration_bayes import KINDS, few_problems
from benchmarks.calibration_families import DECOUPLED, EIGHT, families, pooled_power, seed_families
from benchmarks.calibration_local_level import local_level, uncertain_noise
from benchmarks.calibration_methods import (
    Row,
    different_problems,
    equivalence,
    markdown,
    power,
    recovery,
    slope,
    surface,
    tail,
    two_arms,
)
from benchmarks.calibration_sentences import clip_intervals, scenarios, sentences
from benchmarks.calibration_simultaneous import simultaneous
from benchmarks.simulated_studies import Population, as_verdicts, draw_counts
from reports.statistics.compare import compare_arms
from reports.statistics.surface import response_surface
from reports.statistics.verdicts import verdict_counts

_SPEED = "Speed"
Scenario = tuple[Callable[..., list[Row]], dict[str, Any]]


def sections(repeats: int) -> dict[str, tuple[str, list[Scenario]]]:
    """Heading, text, and scenarios of each table; slow methods get a part of the repeats."""
    part = max(20, repeats // 8)
    calm, moved, hard = Population(), Population(seed=0.1), Population(mean=-4.0)
    aime = Population(mean=-4.4, seed=0.1)
    tests = {"repeats": repeats, "samples": 16}
    one: list[Scenario] = [
        *((two_arms, {**tests, "population": calm, "seeds": 1, "problems": g, "slow": part}) for g in (560, 100, 30)),
        *((two_arms, {**tests, "population": calm, "seeds": 1, "problems": g, "samples": 1}) for g in (560, 100)),
        (two_arms, {**tests, "population": _VARIED, "seeds": 1, "problems": 560, "note": "arms differ by problem"}),
        (two_arms, {**tests, "population": hard, "seeds": 1, "problems": 30, "note": "accuracy 6 %"}),
        (two_arms, {**tests, "population": Population(seed=0.2), "seeds": 1, "problems": 560, "note": "new seeds"}),
    ]
    several: list[Scenario] = []
    for seeds, problems, spreads in _SEVERAL:
        for spread in spreads:
            slow = part if problems == 560 and spread in (0.0, 0.05, 0.2) else 0
            shape = {"seeds": seeds, "problems": problems, "slow": slow}
            several.append((two_arms, {**tests, **shape, "population": Population(seed=spread)}))
    large = {"repeats": part * 2, "problems": 560, "differences": (0.0, 0.01, 0.02, 0.03, 0.05)}
    margin = {"repeats": repeats, "problems": 560, "margin": 0.03}
    return {
        "One training seed: two arms, no difference": (
            "Rejections where there is no difference (target 5 ± 1) and coverage of the difference (target 95 ± "
            "1). The z-test over samples treats all samples as independent. In the last row every study draws the "
            "effects of new seeds: whoever takes one seed for a statement about seeds is wrong that often. Sign "
            "flips are few and tied at k = 1 and where most problems are all wrong, which makes their test "
            "careful. The logistic test, here and below, has an eighth of the repeats.",
            one,
        ),
        "Three training seeds: two arms, no difference": (
            "The t test is `crossed_mean`, over seeds and problems; Satterthwaite's is the textbook's. Sign flip and z "
            "know nothing of seeds. Where seeds do not differ, or hardly (SD 0 and 0.02), the floor of the variance "
            "(`reports/statistics/crossed.py`) rejects less than it may.",
            several[:9],
        ),
        "Five and two training seeds: two arms, no difference": (
            "Two seeds cannot tell how much seeds differ, so the test takes Cochran and Cox's critical value there "
            "(`reports/statistics/two_variances.py`): it keeps the level and has little power. The floor of the "
            "variance acts here too where seeds do not differ (SD 0).",
            several[9:],
        ),
        "Different problems: two arms, no difference": (
            "As when an accuracy is compared with one from another paper, over other problems.",
            [(different_problems, {"repeats": repeats, "problems": g, "samples": 16}) for g in (500, 30)],
        ),
        "Power": (
            "Predicted power takes the simulated standard error and the median degrees of freedom.",
            [(power, {**large, "population": people, "seeds": n}) for people, n in ((calm, 1), (moved, 3), (moved, 5))],
        ),
        "Equivalence (TOST)": (
            "",
            [(equivalence, {**margin, "population": people, "seeds": n}) for people, n in ((calm, 1), (moved, 5))],
        ),
        "Many arms": (
            "Comparisons with one baseline depend on each other, which makes both corrections careful.",
            [(families, {"repeats": part, "arms": 10, "real": real}) for real in (0, 5)],
        ),
        "All arms against one reference": (
            "Seven arms without a difference; 560 problems, k = 16. Intervals of each arm alone, and Dunnett's "
            "(`reports/statistics/multiplicity.py`), all of which shall hold in 95 % of studies. Where the reference "
            "is not trained, its seeds do not vary, and arms share less of their differences' variance.",
            [
                (simultaneous, {"repeats": part * 2, "seeds": seeds, "spread": spread, "trained": trained})
                for trained in (True, False)
                for seeds, spread in ((1, 0.0), (2, 0.1), (3, 0.1), (5, 0.1))
            ],
        ),
        "Families with few seeds, no difference": (
            "Holm over pairs of arms; 560 problems, k = 16. At most 5, and 0.1, are promised. No rule is exact for all "
            "shares of the seeds' variance (`reports/statistics/two_variances.py`): where seeds differ little (SD "
            "0.05) this one rejects less than it may, least of all with two seeds; and Holm's correction does so where "
            "pairs share an arm, as here, since it allows for the worst. Pooled: "
            "`registered: {seed_variance: pooled}`.",
            [
                (seed_families, {"repeats": part * 2, "name": name, "pairs": pairs, "population": people, "seeds": n})
                for name, pairs in (("6 pairs of 9 arms", DECOUPLED), ("7 arms with one", EIGHT))
                for n in (2, 3, 5)
                for people in (Population(seed=0.05), Population(seed=0.2))
            ],
        ),
        "Pooled seed variance": (
            "One arm of some against another, 560 problems, k = 16: the variance between seeds of the two arms alone "
            "(separate) or of all (pooled). Where one arm's seeds vary unlike the others', pooling does not keep its "
            "promise: the report tests for that and shows the separate result beside it. Nor does it quite with three "
            "arms and two seeds, whose pooled variance has 2 degrees of freedom: the report says so.",
            [
                (pooled_power, {"repeats": part, "population": moved, "arms": arms, "seeds": n, "unlike": unlike})
                for arms, n, unlike in ((3, 2, False), (3, 3, False), (9, 2, False), (9, 3, False), (9, 3, True))
            ],
        ),
        "Sentences": (
            "Claims of the first page, and of two tables, held against what is true of the simulated study, over the "
            "code that writes a report (`benchmarks/calibration_sentences.py`). _Said_ is the share of studies that "
            "have a kind of sentence, _wrong_ that in which anything that it says is false: a difference that is 0 "
            "or points the other way, an interval without the true value, clipping that does not count as active. With "
            "one seed nothing may be said of settings. 100 problems, four samples each, unless the row says otherwise; "
            "seeds move accuracy by 2 points (SD 0.1 logit). A kind counts over all sentences of the page: where "
            "clipping changes nothing and there is one seed, two sentences, on clipping and on accuracy, were wrong in "
            "4.3 and 4.8 % of 400 studies, and so at least one of them in some 10 %.",
            [
                (sentences, {"repeats": part * 2, "name": name, "scenario": scenario})
                for name, scenario in scenarios().items()
            ],
        ),
        "Clip fractions": (
            "64 sequences of 30 to 75 tokens a step; sequences differ in how much is clipped in them (SD of the "
            "logarithm). Counting tokens would take them for independent. With SD 1.5 a few sequences carry the "
            "mean, and the largest are often not among a study's: where enough is clipped for that to be most of "
            "the error, the interval covers 92 to 94 %.",
            [
                (clip_intervals, {"repeats": repeats, "steps": steps, "fraction": fraction, "spread": spread})
                for steps in (4, 16)
                for fraction in (0.001, 0.01)
                for spread in (0.5, 1.5)
            ],
        ),
        "Accuracy of one arm": (
            "The report's intervals take the skewness of the problems out (`reports/statistics/mean_share.py`); "
            "subjects and levels have the same with few problems. k = 16, and wrong samples go to three answers. Few "
            "problems of which most pass, or most do not, have scores of 0 and 1, and intervals that cover more than "
            "they promise. Few problems that are nearly all wrong are covered in 92 to 94 % of studies: the problem "
            "that would go well is often not among them. Logit, Beta (Korn and Graubard) and score intervals cover "
            "less (90 to 93 % of 30 problems at 5 %), a third moment without bias 0.4 points more at a tenth more "
            "width, so the interval stays as it is.",
            [
                (accuracy, {"repeats": part, "population": people, "seeds": seeds, "problems": problems})
                for people, seeds, problems in (
                    *((people, 1, problems) for people in (calm, hard) for problems in (560, 30, 15)),
                    *((moved, 3, problems) for problems in (560, 30, 15)),
                    *((aime, seeds, 30) for seeds in (1, 3, 5)),
                )
            ],
        ),
        "Recovery fraction": (
            "True value 0.4. Undefined where the gap A - B is not established, as it should be where it is small.",
            [
                (recovery, {"repeats": part * 2, "population": people, "seeds": seeds, "gap": gap})
                for people, seeds, gap in ((calm, 1, 0.1), (calm, 1, 0.01), (moved, 3, 0.1), (moved, 5, 0.1))
            ],
        ),
        "Slope of accuracy against log gain, no slope": (
            "Arms differ by themselves, so that verdicts of one arm are not independent evidence about gain. With "
            "few arms the degrees of freedom of CR2, three of 8 and seven of 16, are careful: a line through "
            "exactly normal arms is rejected in 3.7 and 4.6 % of studies.",
            [(slope, {"repeats": part, "arms": arms, "spread": 0.2}) for arms in (8, 16)],
        ),
        "Quadratic response surface": (
            "Pointwise coverage inside of the arms' hull, arms scattering around the surface by 0.15 logits.",
            [(surface, {"repeats": part, "arms": arms}) for arms in (9, 16, 40)],
        ),
        "Tail models": (
            "Student t tails, steps whose scale differs by 10 %; fitted to the upper 2 % of tokens, validated on "
            "as many held-out steps. Rows that expect about one token or less are extrapolations. A row has a "
            "sixteenth of the repeats: its ± is large.",
            [(tail, {"repeats": part // 2, "steps": steps, "tokens": 3000}) for steps in (8, 32)],
        ),
        "Thirty hard problems": (
            "Two hierarchical Bayesian models (`benchmarks/calibration_bayes.py`) beside the report's interval, "
            "30 problems of 16 samples at an accuracy of about 5 %. Where its assumption fits, the logit-normal "
            "one covers as much and is a third narrower; where one problem in ten can be solved and the others "
            "cannot, it covers 80 to 92 %. So the report keeps its own, which covers 92.8 % or more everywhere "
            "here.",
            [
                (few_problems, {"repeats": part * 2, "kind": kind, "seeds": seeds})
                for kind in KINDS
                for seeds in (1, 3, 5)
            ],
        ),
        "Most likely Q and V": (
            "Log ratios drawn from the filter's own model, four samples of 30 to 75 tokens a problem. _SD of log "
            "variance_ is how much problems differ in noise, which the model does not know: few problems then "
            "tell too little of it. Below 20 there is no interval: of six problems it covered 82 to 89 %.",
            [
                (local_level, {"repeats": part, "problems": problems, "gain": gain, "spread": spread})
                for problems, gain, spread in (
                    *((problems, 0.03, 0.0) for problems in (24, 48)),
                    *((24, gain, 0.0) for gain in (0.003, 0.3)),
                    *((problems, 0.03, 1.0) for problems in (24, 48, 192)),
                )
            ],
        ),
        "Noise that follows the policy's uncertainty": (
            "Innovations of which a share of the variance is proportional to (1 - pi_old)^2, the rest constant "
            "(`reports/statistics/uncertain_noise.py`); four samples of 30 to 75 tokens a problem. Where problems "
            "differ in noise as well, few of them are covered a little less.",
            [
                (uncertain_noise, {"repeats": part, "problems": problems, "share": share, "spread": spread})
                for problems, share, spread in (
                    *((problems, 0.5, 0.0) for problems in (24, 48)),
                    *((24, share, 0.0) for share in (0.0, 0.1, 0.9)),
                    *((problems, 0.5, 1.0) for problems in (24, 48)),
                )
            ],
        ),
    }


# Training that moves single problems a lot, by as much up as down.
_VARIED = Population(interaction=1.0, seed_problem=1.0)
# Seeds, problems, and standard deviations between seeds.
_SEVERAL = (
    (3, 560, (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)),
    (3, 30, (0.0, 0.2, 0.5)),
    (5, 560, (0.0, 0.05, 0.2)),
    (2, 560, (0.0, 0.05, 0.2)),
)


def _run(job: tuple[int, int, Scenario]) -> list[Row]:
    seed, number, (function, arguments) = job
    # statsmodels collects garbage at each correction, over all that has been imported.
    gc.freeze()
    return function(random=np.random.default_rng([seed, number]), **arguments)


def _speed() -> str:
    """Seconds of all statistics of 200 arms x 3 seeds x 560 problems x 16 samples, from single verdicts on."""
    random = np.random.default_rng(0)
    frames = []
    for name, problems in (("MATH-500", 500), ("AIME 2024", 30), ("AIME 2025", 30)):
        counts = draw_counts(
            random=random,
            population=Population(seed=0.1),
            effects=np.linspace(0, 0.5, 200).tolist(),
            seeds=3,
            problems=problems,
            samples=16,
        )
        frames.append(as_verdicts(counts=counts, samples=16, benchmark=name))
    counts_frame = pd.concat(frames, ignore_index=True)
    single = counts_frame.loc[counts_frame.index.repeat(16)].reset_index(drop=True)
    number = np.arange(len(single)) % 16
    single = single.assign(
        correct=number < single["correct"], step=8, trial=single["arm"] + "_s" + single["seed"].astype(str)
    )
    begin = time.perf_counter()
    verdicts = verdict_counts(samples=single)
    counted = time.perf_counter()
    compare_arms(verdicts=verdicts, baseline="arm 0", planned=["arm 1"])
    compared = time.perf_counter()
    gains, thresholds = np.exp(random.uniform(-6, -1, size=200)), np.exp(random.uniform(-3, 1, size=200))
    arm = verdicts["arm"].str.removeprefix("arm ").astype(int)
    response_surface(table=verdicts.assign(gain=gains[arm], threshold=thresholds[arm]))
    fitted = time.perf_counter()
    return (
        f"{len(single):,} verdicts of 200 arms, 3 seeds, 560 problems: counting {counted - begin:.1f} s, "
        f"`compare_arms` with odds ratios and permutation tests {compared - counted:.1f} s, response "
        f"surface {fitted - compared:.1f} s (one core)."
    )


def main() -> None:
    """Run all scenarios on all cores, print their tables, write them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=4000, help="simulated studies of each scenario of a fast method")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="tables whose heading matches this expression")
    parser.add_argument("--write", action="store_true", help="write benchmarks/calibration.md")
    arguments = parser.parse_args()
    begin = time.perf_counter()
    every = sections(arguments.repeats)
    chosen = {name: entry for name, entry in every.items() if re.search(arguments.only, name)}
    # A scenario's random numbers are its own, so that a table comes out alike when it is run alone.
    scenarios = [(name, scenario) for name, (_, several) in every.items() for scenario in several]
    jobs = [(arguments.seed, index, job) for index, (name, job) in enumerate(scenarios) if name in chosen]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        results = iter(pool.map(_run, jobs))
        parts = {}
        for name, (text, several) in chosen.items():
            rows = [row for _ in several for row in next(results)]
            run = f"`--repeats {arguments.repeats} --seed {arguments.seed}`"
            parts[name] = "\n\n".join([f"## {name}", f"{text} {run}".strip(), markdown(rows)])
            print(parts[name], end="\n\n", flush=True)
    if re.search(arguments.only, _SPEED):
        parts[_SPEED] = f"## {_SPEED}\n\n{_speed()}"
        print(parts[_SPEED])
    print(f"{time.perf_counter() - begin:.0f} s", file=sys.stderr)
    if arguments.write:
        head = (
            "# Calibration of the statistics\n\n"
            "Written by `python benchmarks/calibration.py --write` with the options that stand with each table. "
            "All shares are per cent, ± one Monte-Carlo standard error. Studies are simulated as "
            "`benchmarks/simulated_studies.py` says: difficulty of problems with SD 2 logits, problem by arm 0.3, "
            "problem by arm and seed 0.3, k samples a problem."
        )
        file = Path(__file__).parent / "calibration.md"
        old = file.read_text(encoding="utf-8").split("\n\n## ")[1:] if file.exists() else []
        kept = {part.split("\n", 1)[0]: f"## {part.rstrip()}" for part in old}
        # Sections that other programs write stay.
        others = [name for name in kept if name not in every and name != _SPEED]
        tables = [parts.get(name, kept.get(name, "")) for name in (*every, *others, _SPEED)]
        file.write_text("\n\n".join(part for part in (head, *tables) if part) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
