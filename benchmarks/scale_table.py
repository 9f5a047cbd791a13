"""What follows from the measurements of `benchmarks/scale.py`, as Markdown.

A training trial of a large model says little and seldom: five events a step (it samples, computes log-probabilities,
updates; the log ratios' file; the step's metrics). So the driver's load by n trials that run side by side is

.. math:: n (5 e / T + s), \\qquad \\text{cores},

with e the driver's processor seconds an event, T the seconds of a step, and s the cores that a running trial takes by
its samples of the machine. Everything is linear in n where it was measured; beyond that it is an extrapolation.
"""

from collections.abc import Mapping, Sequence
from typing import Any

EVENTS_A_STEP = 5
STEP_SECONDS = 500.0
"""A step of a 4B model with 32 prompts of 8 samples, as the issue of this page assumes it; not measured here."""
_GPUS = (8, 64, 512)

Row = Mapping[str, float]


def cores_taken(*, trials: int, event_seconds: float, sample_cores: float, step_seconds: float) -> float:
    """Cores that the driver takes for so many trials side by side; see above.

    >>> cores_taken(trials=100, event_seconds=0.01, sample_cores=0.001, step_seconds=500.0)
    0.11
    """
    return trials * (EVENTS_A_STEP * event_seconds / step_seconds + sample_cores)


def sample_cores(load: Sequence[Row]) -> float:
    """Cores that each further running trial takes, between the fewest and the most that were measured."""
    few, most = load[0], load[-1]
    return max(0.0, (most["cores"] - few["cores"]) / (most["running"] - few["running"]))


def per_trial(rows: Sequence[Row], name: str) -> float:
    """Growth of a quantity a trial, between the fewest and the most trials."""
    few, most = rows[0], rows[-1]
    return (most[name] - few[name]) / (most["trials"] - few["trials"])


def table(known: Mapping[str, Any]) -> str:
    """Everything that was measured, and what it comes to."""
    lines = ["# How much one driver carries", ""]
    lines += ["`benchmarks/scale.py` wrote this; `docs/scale.md` says what it means and what was not measured.", ""]
    if rates := known.get("rates"):
        lines += _rates(rates)
    if trials := known.get("trials"):
        lines += _trials(trials)
    if load := known.get("load"):
        lines += _load(load)
    if rates and load:
        lines += _carried(rates[-1]["cpu_ms"] / 1000, sample_cores(load))
    if nodes := known.get("nodes"):
        lines += _nodes(nodes)
    return "\n".join(lines)


def _rates(rows: Sequence[Row]) -> list[str]:
    return [
        f"## Events a second, in {rows[0]['slots']:.0f} slots",
        "",
        "| N | events/s offered | recorded | points/s in MLflow | lag, median s | largest s | callback, ms an event | "
        "driver's processor, ms an event |",
        f"| ---: {'| ---: ' * 7}|",
        *(
            f"| {_rate(row['rate'])} | {_rate(row['offered'])} | {row['events_a_second']:.1f} | "
            f"{row['metrics_a_second']:.0f} | {row['lag_median']:.2f} | {row['lag_largest']:.2f} | "
            f"{row['callback_ms']:.1f} | {row['cpu_ms']:.1f} |"
            for row in rows
        ),
        "",
    ]


def _rate(value: float) -> str:
    return "all at once" if value == float("inf") else f"{value:.3g}"


def _trials(rows: Sequence[Row]) -> list[str]:
    read, played = ([row for row in rows if name in row] for name in ("report", "cpu_ms"))
    points = per_trial(read, "points")
    return [
        "## A study that grows",
        "",
        "Seconds are of processor time.",
        "",
        "| trials | mlflow.db, MB | artifacts, MB | trials/, MB | `status`, s | `--json`, s | "
        "a look for what a server lacks, s | report, s | its memory, GiB |",
        f"| ---: {'| ---: ' * 8}|",
        *(
            f"| {row['trials']:,.0f} | "
            + " | ".join(f"{row[f'{name}_bytes'] / 1e6:.1f}" for name in ("store", "artifacts", "trials"))
            + f" | {row['status']:.1f} | {row['status_json']:.1f} | {row['delivery']:.2f} | {row['report']:.1f} | "
            f"{row['report_gib']:.2f} |"
            for row in read
        ),
        "",
        f"A trial adds {points:.0f} points to mlflow.db, {per_trial(read, 'store_bytes') / points:.0f} bytes each with "
        f"their indices, {per_trial(read, 'artifacts_bytes') / 1e3:.0f} kB of artifacts and "
        f"{per_trial(read, 'trials_bytes') / 1e3:.0f} kB under trials/. "
        f"{read[-1]['trials'] / read[0]['trials']:.1f} times the trials: the report took "
        f"{read[-1]['report'] / read[0]['report']:.1f} times as long, `status` "
        f"{read[-1]['status'] / read[0]['status']:.1f} times. An event took the driver "
        + ", ".join(f"{row['cpu_ms']:.1f} ms with {row['trials']:,.0f} trials" for row in played)
        + ".",
        "",
    ]


def _load(rows: Sequence[Row]) -> list[str]:
    return [
        "## Trials that run and say nothing",
        "",
        "| running | samples of the machine, points/s | cores of the driver | a write, median ms | largest ms |",
        f"| ---: {'| ---: ' * 4}|",
        *(
            f"| {row['running']:.0f} | {row['points_a_second']:.1f} | {row['cores']:.3f} | {row['write_ms']:.1f} | "
            f"{row['write_largest_ms']:.0f} |"
            for row in rows
        ),
        "",
    ]


def _carried(event_seconds: float, sample: float) -> list[str]:
    lines = []
    for trials in _GPUS:
        events, samples = (
            cores_taken(trials=trials, event_seconds=event, sample_cores=sampled, step_seconds=STEP_SECONDS)
            for event, sampled in ((event_seconds, 0.0), (0.0, sample))
        )
        rate = trials * EVENTS_A_STEP / STEP_SECONDS
        lines.append(f"| {trials} | {rate:.2f} | {100 * events:.1f} | {100 * samples:.1f} |")
    return [
        "## What that makes of a 4B model, extrapolated",
        "",
        f"A trial a GPU, a step in {STEP_SECONDS:.0f} s, {EVENTS_A_STEP} events a step.",
        "",
        "| trials side by side | events/s | % of a core for events | % of a core for samples of the machine |",
        f"| ---: {'| ---: ' * 3}|",
        *lines,
        "",
    ]


def _nodes(row: Row) -> list[str]:
    return [
        "## Slots on several nodes",
        "",
        f"{row['slots']:.0f} slots on {row['nodes']:.0f} nodes of `ray.cluster_utils.Cluster`, all on this machine: "
        f"{row['finished']:.0f} of {row['trials']:.0f} replays finished, at most {row['at_once']:.0f} of them at once; "
        f"{row['seconds']:.0f} s for the whole command, {row['first_end']:.0f} s until the first had ended.",
        "",
    ]
