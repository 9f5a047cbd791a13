"""What the grader makes of a benchmark's own reference solutions, and how fast it is.

Every solution is graded against its own answer, which should be accepted, and against the next problem's, which should
not. Both are done as in training, and once more with every comparison given to math-verify, because most of the former
are decided by the text alone. Rejections of the first kind and acceptances of the second are listed.

    python benchmarks/grading.py --data math500.jsonl
"""

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sweep.tasks.maths.answers import last_boxed
from sweep.tasks.maths.data_file import read_rows
from sweep.tasks.maths.grader import Grader
from sweep.tasks.maths.grading_process import Outcome

Task = tuple[str, str, str]


def _run(name: str, tasks: list[Task], grader: Grader, threads: int, *, expected: bool, alone: bool) -> None:
    """Grade (identifier, response, truth); print a line of counts, and one for each surprise."""

    def grade(task: Task) -> tuple[Outcome, bool]:
        _, response, truth = task
        if alone:
            return grader._ask(last_boxed(response) or "", truth)
        grading = grader.grade(response=response, truth=truth)
        return grading.outcome, grading.correct

    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        verdicts = list(pool.map(grade, tasks))
    seconds = time.perf_counter() - start
    counts = {outcome.value: sum(found is outcome for found, _ in verdicts) for outcome in Outcome}
    accepted = sum(correct for _, correct in verdicts)
    print(
        f"{name:44} {accepted:>4} of {len(tasks)} accepted, {len(tasks) / seconds:>8.0f} a second  {counts}", flush=True
    )
    for (identifier, response, truth), (outcome, correct) in zip(tasks, verdicts, strict=True):
        if correct != expected:
            print(f"    {identifier}: {last_boxed(response)!r} for {truth!r}: {outcome.value}, {correct}")


def main() -> None:
    """Print one line for each way of grading."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="rows with a reference solution: problem, solution, answer"
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    rows = [row for row in read_rows(arguments.data) if row.get("solution") and row.get("answer")]
    if not rows:
        parser.error(f"{arguments.data} has no rows with a solution and an answer")
    names = [str(row.get("unique_id") or row.get("id") or number) for number, row in enumerate(rows)]
    own = [(name, row["solution"], row["answer"]) for name, row in zip(names, rows, strict=True)]
    following = [(*task[:2], rows[(number + 1) % len(rows)]["answer"]) for number, task in enumerate(own)]
    with Grader(processes=arguments.threads) as grader:
        begin = time.perf_counter()
        with ThreadPoolExecutor(arguments.threads) as pool:
            list(pool.map(lambda number: grader._ask("0.5", f"{number}.5"), range(arguments.threads)))
        print(f"{arguments.threads} threads; processes ready after {time.perf_counter() - begin:.1f} s")
        for what, tasks, expected in (("its own answer", own, True), ("the next problem's answer", following, False)):
            _run(what, tasks, grader, arguments.threads, expected=expected, alone=False)
            _run(f"{what}, by math-verify alone", tasks, grader, arguments.threads, expected=expected, alone=True)


if __name__ == "__main__":
    main()
