"""Who errs where: this grader, math-verify's defaults, verl's prime_math and math_dapo, over pairs of known verdict.

Four sets: pairs that hypothesis draws, one value in two notations (must be right) and values that look alike (must be
wrong); the disputed pairs of the tests; and, with --data, the answers of benchmarks, each against itself, its rewrites
and its neighbours. Every grader is given the same right answer and the same response, ``\\boxed{answer}``.

    python benchmarks/grading.py --pairs 45000 --data math500.jsonl aime24.jsonl aime25.jsonl
"""

import argparse
import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.grading_pairs import equal_pairs, near_misses
from sweep.tasks.maths.data_file import read_rows
from sweep.tasks.maths.grader import Grader

Case = tuple[str, bool, str, str]
"""Kind, verdict, right answer, answer."""
_DISPUTED = Path(__file__).parents[1] / "tests/sweep/tasks/maths/disputed_pairs.txt"
_PEERS_SEE = 500
"""Generated pairs of each sort that the peers are given: math-verify takes milliseconds for one."""


def generated(examples: int) -> list[Case]:
    """Distinct pairs from both strategies."""
    right, wrong = _drawn(equal_pairs(), examples), _drawn(near_misses(), examples)
    return [(kind, True, *pair) for kind, *pair in right] + [(kind, False, *pair) for kind, *pair in wrong]


def _drawn(strategy: SearchStrategy, examples: int) -> list[tuple[str, str, str]]:
    found: dict[tuple[str, str, str], None] = {}

    @seed(24)
    @settings(max_examples=examples, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(strategy)
    def draw(pair: tuple[str, str, str]) -> None:
        found[pair] = None

    draw()
    return list(found)


def disputed() -> list[Case]:
    """The disputed pairs of the tests."""
    cases, kind = [], ""
    for line in _DISPUTED.read_text(encoding="utf-8").split("\n"):
        if line.startswith("["):
            kind = line[1 : line.index("]")]
        elif line and not line.startswith("#"):
            truth, answer = line[2:].split(" || ")
            cases.append((kind, line[0] == "+", truth, answer))
    return cases


def of_benchmarks(paths: list[Path]) -> list[Case]:
    """Each answer against itself, its rewrites, and the next ten answers that are written differently."""
    cases: list[Case] = []
    for path in paths:
        answers = [str(row["answer"]) for row in read_rows(path) if row.get("answer") is not None]
        for place, truth in enumerate(answers):
            rewrites = [
                f"${truth}$",
                f"{truth}.",
                truth.replace(r"\frac", r"\dfrac"),
                truth.replace(" ", ""),
                f" {truth} ",
            ]
            rewrites += [
                truth.replace(r"\left", "").replace(r"\right", ""),
                f"\\displaystyle {truth}",
            ]
            cases += [(f"{path.stem}: itself", True, truth, truth)]
            cases += [
                (f"{path.stem}: rewritten", True, truth, answer)
                for answer in dict.fromkeys(rewrites)
                if answer != truth
            ]
            others = dict.fromkeys(answers[place + 1 :] + answers[:place])
            neighbours = [other for other in others if _letters(other) != _letters(truth)][:10]
            cases += [(f"{path.stem}: neighbours", False, truth, other) for other in neighbours]
    return cases


def _letters(answer: str) -> str:
    """An answer without what the rules let a problem leave out, so that neighbours differ in value."""
    for nothing in (" ", r"\!", ",", r"\$", r"^\circ", "x=", "(", ")"):
        answer = answer.replace(nothing, "")
    numerator = answer.replace(r"\frac", "").replace("{", "").replace("}", "").replace(r"\mboxcm^2", "")
    return "".join(sorted(numerator.lstrip("0")))


def math_verify(truth: str, answer: str) -> bool:
    """math-verify's defaults."""
    from math_verify import parse, verify

    return bool(verify(parse(f"\\boxed{{{truth}}}"), parse(f"\\boxed{{{answer}}}")))


def prime_math(truth: str, answer: str) -> bool:
    """verl's prime_math."""
    from verl.utils.reward_score.prime_math import compute_score

    return bool(compute_score(f"\\boxed{{{answer}}}", truth)[0])


def math_dapo(truth: str, answer: str) -> bool:
    """verl's math_dapo, for which the answer stands behind "Answer:"."""
    from verl.utils.reward_score.math_dapo import compute_score

    return bool(compute_score(f"Answer: {answer}", truth)["acc"])


def judge(grade: Callable[[str, str], bool], cases: list[Case]) -> tuple[Counter, Counter, float]:
    """False accepts and false refusals by kind, and seconds; an error is a refusal."""
    accepted, refused = Counter(), Counter()
    start = time.perf_counter()
    for kind, right, truth, answer in cases:
        try:
            verdict = grade(truth, answer)
        except Exception:
            verdict = False
        if verdict and not right:
            accepted[kind] += 1
        if right and not verdict:
            refused[kind] += 1
    return accepted, refused, time.perf_counter() - start


def ours(cases: list[Case], *, threads: int) -> tuple[Counter, Counter, float, list[Case]]:
    """As `judge`, by grading processes as in training, every pair read; and the cases that were judged wrongly."""
    accepted, refused, wrong = Counter(), Counter(), []
    with Grader(processes=threads) as grader, ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda number: grader._ask("0.5", f"{number}.5"), range(threads)))
        start = time.perf_counter()
        verdicts = list(pool.map(lambda case: grader._ask(case[3], case[2]).correct, cases))
        seconds = time.perf_counter() - start
    for case, verdict in zip(cases, verdicts, strict=True):
        if verdict != case[1]:
            (accepted if verdict else refused)[case[0]] += 1
            wrong.append(case)
    return accepted, refused, seconds, wrong


def main() -> None:
    """Print a table for each set of pairs, and every pair that this grader judges wrongly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=4000, help="examples drawn of each sort; fewer are distinct")
    parser.add_argument("--data", type=Path, nargs="*", default=[], help="files of problems with answers")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--alone", action="store_true", help="without the peers")
    arguments = parser.parse_args()
    sets = {"generated": generated(arguments.pairs), "disputed": disputed()}
    if arguments.data:
        sets["benchmarks"] = of_benchmarks(arguments.data)
    for name, cases in sets.items():
        rights = sum(right for _, right, *_ in cases)
        print(
            f"\n{name}: {rights} right, {len(cases) - rights} wrong, {len({kind for kind, *_ in cases})} kinds",
            flush=True,
        )
        accepted, refused, seconds, wrong = ours(cases, threads=arguments.threads)
        _line("this grader", cases, accepted, refused, seconds)
        for case in wrong[:40]:
            print("   ", json.dumps(case))
        if arguments.alone:
            continue
        seen = _some(cases)
        for peer in (math_verify, prime_math, math_dapo):
            accepted, refused, seconds = judge(peer, seen)
            _line(peer.__name__, seen, accepted, refused, seconds)


def _some(cases: list[Case]) -> list[Case]:
    """As many of each verdict as the peers are given, spread over the set."""
    some = []
    for verdict in (True, False):
        picked = [case for case in cases if case[1] == verdict]
        some += picked[:: max(1, len(picked) // _PEERS_SEE)][:_PEERS_SEE]
    return some


def _line(name: str, cases: list[Case], accepted: Counter, refused: Counter, seconds: float) -> None:
    totals = defaultdict(int)
    for _, right, *_ in cases:
        totals[right] += 1
    print(
        f"  {name:12} {sum(accepted.values()):>5} of {totals[False]:>5} accepted wrongly, "
        f"{sum(refused.values()):>5} of {totals[True]:>5} refused wrongly, {len(cases) / seconds:>6.0f} a second"
    )
    for title, counts in (("accepts", accepted), ("refuses", refused)):
        if counts:
            print(
                f"      {title}: " + ", ".join(f"{kind} {count}" for kind, count in counts.most_common(30)), flush=True
            )


if __name__ == "__main__":
    main()
