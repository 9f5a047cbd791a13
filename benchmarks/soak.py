"""Runs small studies with a kill -9 of one component each, for hours, and writes what came of them as a table.

Each run starts the smoke study, kills a component at a moment drawn from the whole run, lets the command end as it
will, resumes it to its end, and looks at what is recorded and what is left behind, as the fault test does
(`tests/sweep/fault_runs.py`). Before and after each, the machine's memory, open files, sockets, shared memory and
temporary files are noted, so that a leak shows as a column that grows.

Every run is a line of ``OUTPUT.jsonl``, written when it has ended; a soak that was cut off goes on after the last of
them. ``OUTPUT.md`` is written anew after each.

    python benchmarks/soak.py --hours 8
    python benchmarks/soak.py --runs 24
    python benchmarks/soak.py --runs 1 --component "vLLM's engine" --after 40
"""

import argparse
import dataclasses
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.sweep.fault_runs import COMPONENTS, FaultRun, Moment, component_of, moment_of, run_with_fault

_OUTPUT = Path(__file__).with_suffix("")
_MACHINE = {
    "memory used (MB)": lambda: psutil.virtual_memory().used / 1e6,
    "open files": lambda: int(Path("/proc/sys/fs/file-nr").read_text(encoding="utf-8").split()[0]),
    "sockets": lambda: int(Path("/proc/net/sockstat").read_text(encoding="utf-8").split()[2]),
    "/dev/shm (MB)": lambda: shutil.disk_usage("/dev/shm").used / 1e6,
    "entries in the temp folder": lambda: sum(1 for _ in Path(tempfile.gettempdir()).iterdir()),
    "processes": lambda: len(psutil.pids()),
}


def main() -> None:
    """Run until the time is over or the runs are done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, help="begin no run after so many hours")
    parser.add_argument("--runs", type=int, help="end after so many runs")
    parser.add_argument("--first", type=int, help="number of the first run [default: the one after the last recorded]")
    parser.add_argument("--component", choices=list(COMPONENTS), help="kill this one [default: all in turn]")
    parser.add_argument("--after", type=float, help="kill so many seconds after the start [default: drawn]")
    parser.add_argument("--output", type=Path, default=_OUTPUT, help="OUTPUT.jsonl and OUTPUT.md [benchmarks/soak]")
    chosen = parser.parse_args()
    lines = chosen.output.with_suffix(".jsonl")
    known = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()] if lines.exists() else []
    number = chosen.first if chosen.first is not None else 1 + max((one["number"] for one in known), default=-1)
    began, done = time.monotonic(), 0
    while (chosen.runs is None or done < chosen.runs) and (
        chosen.hours is None or time.monotonic() - began < 3600 * chosen.hours
    ):
        known.append(_one(number, component=chosen.component, after=chosen.after, folder=chosen.output))
        with lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(known[-1]) + "\n")
        chosen.output.with_suffix(".md").write_text(table(known), encoding="utf-8")
        print(json.dumps(known[-1]), flush=True)
        number, done = number + 1, done + 1


def _one(number: int, *, component: str | None, after: float | None, folder: Path) -> dict[str, object]:
    component = component or component_of(number)
    moment = moment_of(number, component=component) if after is None else Moment("", after)
    work, before = folder / f"run_{number:04d}", _machine()
    shutil.rmtree(work, ignore_errors=True)
    run = run_with_fault(number=number, component=component, moment=moment, folder=work.resolve())
    if not (run.lost or run.doubled or run.left):
        # What went well is not looked at.
        shutil.rmtree(work)
    return {**dataclasses.asdict(run), "before": before, "after": _machine()}


def _machine() -> dict[str, float]:
    return {name: round(measure()) for name, measure in _MACHINE.items()}


def table(known: list[dict]) -> str:
    """What came of the runs, as Markdown."""
    runs = [FaultRun(**{field.name: one[field.name] for field in dataclasses.fields(FaultRun)}) for one in known]
    killed = [run for run in runs if run.killed is not None]
    rows = [
        "# Small studies with a kill -9 each",
        "",
        f"{len(runs)} runs of `studies/smoke.yaml` in {sum(run.seconds for run in runs) / 3600:.1f} h by "
        f"`benchmarks/soak.py`, of which {len(killed)} with a kill; "
        f"largest time to notice {max((run.noticed or 0.0 for run in killed), default=0.0):.1f} s; "
        f"lost {sum(len(run.lost) for run in runs)}, doubled {sum(len(run.doubled) for run in runs)}, left behind "
        f"{sum(len(run.left) for run in runs)}. A death is noticed with the first line that says so, or with the "
        "end of the command. Exit codes are the command's and those of each `resume`.",
        "",
        "| killed | runs | noticed after (median s) | (largest s) | exit codes | lost | doubled | left behind |",
        "| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: |",
    ]
    for name in COMPONENTS:
        own = [run for run in runs if run.component == name and run.killed is not None]
        times = [run.noticed for run in own if run.noticed is not None]
        if own:
            codes = sorted({" ".join(map(str, run.codes)) for run in own})
            middle, largest = (f"{statistics.median(times):.1f}", f"{max(times):.1f}") if times else ("-", "-")
            counts = [sum(len(getattr(run, what)) for run in own) for what in ("lost", "doubled", "left")]
            rows.append(
                f"| {name} | {len(own)} | {middle} | {largest} | {', '.join(codes)} | {' | '.join(map(str, counts))} |"
            )
    rows += ["", "| run | killed | at | after (s) | noticed after (s) | exit codes | what was said |"]
    rows += ["| ---: | --- | --- | ---: | ---: | --- | --- |"]
    for run in runs:
        killed, noticed = ("-" if value is None else f"{value:.1f}" for value in (run.killed, run.noticed))
        said = run.said.strip().replace("|", "/") or "the command ended"
        codes = " ".join(map(str, run.codes))
        rows.append(
            f"| {run.number} | {run.component} | {run.moment} | {killed} | {noticed} | {codes} | {said[:160]} |"
        )
    rows += ["", "The machine before and after each run (others may use it too):", ""]
    rows += [f"| run | {' | '.join(_MACHINE)} |", f"| ---: {'| ---: ' * len(_MACHINE)}|"]
    for one in known:
        pairs = [f"{one['before'][name]:.0f} → {one['after'][name]:.0f}" for name in _MACHINE]
        rows.append(f"| {one['number']} | {' | '.join(pairs)} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main()
