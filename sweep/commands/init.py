"""``iskpo-sweep init``: a first study file, from three questions or from options."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from sweep.commands.arguments import complete_profile
from sweep.input.errors import UserError, did_you_mean, in_shell

# What can be compared: its name, in words, and what a study of it asks.
_SPACES = {
    "map": """\
# Every gain with every threshold: Q and V follow (a gain depends on Q/V alone, a threshold on kappa and V).
space:
  kind: decoupled
  gain: [1e-3, 1e-2, 1e-1]     # steady-state Kalman gain: the share of a new log ratio that the filter takes in
  threshold: [0.1, 0.3, inf]   # size of an innovation, in units of log ratio, that is clipped; inf for no clipping
""",
    "paper": """\
# The paper's arms by name, and one that it did not try. An arm of your own: name, q, v, and kappa if it clips.
space:
  kind: arms
  arms:
    - kpo-strong                                                # Q 1e-6, V 1, no clipping
    - kpo-weak                                                  # Q 1e-2, V 1, no clipping
    - is-kpo-weak                                               # Q 1e-2, V 1, kappa 3
    - {name: low-gain-clipping, q: 1e-6, v: 1e-2, kappa: 1}     # 1 % gain, threshold 0.1
""",
    "grid": """\
# Every combination of the three numbers.
space:
  kind: grid
  q: [1e-6, 1e-2]       # process noise: how fast the true log ratio may move
  v: [1, 1e-2]          # measurement noise: how far one token's log ratio may lie off
  kappa: [inf, 3, 1]    # innovations are clipped at so many standard deviations; inf for no clipping
""",
    "neighbours": """\
# The filter beside losses that verl has. An arm with another loss has none of the filter's keys.
space:
  kind: arms
  arms:
    - {name: kpo, q: 1e-6, v: 1}                                # the filter without clipping
    - {name: iskpo-low-gain, q: 1e-6, v: 1e-2, kappa: 1}        # the filter, clipping at a low gain
    - {name: grpo, loss: grpo}
    - {name: gspo, loss: gspo}
""",
}
COMPARISONS = {
    "map": (
        "gains against thresholds, on a map of 3 x 3 arms",
        "At which gain and threshold does training go best, and does clipping help at a low gain?",
    ),
    "paper": (
        "the paper's arms, and low gain with clipping beside them",
        "Can innovations be clipped at a low Kalman gain, and does it help?",
    ),
    "grid": ("a grid of Q, V and kappa", "Which of Q, V and kappa matters?"),
    "neighbours": (
        "the filter against other losses (GRPO, GSPO)",
        "Does filtering importance ratios do better than other losses?",
    ),
}
_TEMPLATE = """\
# {question}
#
# See what it would run:  iskpo-sweep plan {path}
# Run it:                 iskpo-sweep run {path}
# Every key there is:     iskpo-sweep schema, or docs/reference/study-file

name: {name}   # names the output folder and the MLflow experiment
question: {question}

# Model, task and sizes. auto is tiny: a model of a million parameters that is taught arithmetic here, on any machine.
profile: {profile}

{space}
# Training runs of every arm. Arms share seeds: they see the same prompts in the same order. From three seeds on the
# report can say how much of a difference is chance between runs; two cannot by themselves (`registered:
# {{seed_variance: pooled}}` takes that from all arms); one shows what the algorithm does. `plan` says what is found.
seeds: {seeds}
steps: {steps}   # training steps of a trial

eval:
  samples: {samples}     # answers to every held-out problem, the k of avg@k and pass@k
  every: null   # evaluate after so many steps; null for after the last alone

slots: 1      # trials side by side; each takes the memory of a model and of vLLM
retries: 1    # how often a trial that failed is tried again
"""
_LARGE = {"steps": 100, "samples": 16}
_TINY = {"steps": 6, "samples": 4}


_NAMES = tuple(COMPARISONS)


def init(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="The file to write.")] = Path("study.yaml"),
    compare: Annotated[
        str | None,
        typer.Option(metavar="|".join(_NAMES), help="What to compare.", autocompletion=lambda: list(_NAMES)),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Model, task and sizes; auto runs anywhere.", autocompletion=complete_profile
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option(metavar="N", help="Training runs of every arm.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The study's name. [default: the file's]")] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", help="Training steps. [default: the profile's]")] = None,
) -> None:
    """Write a commented study file; what no option answers is asked, or without a terminal set to the first choice."""
    from sweep.profiles.profile import AUTO, available_profiles

    if file.exists():
        raise UserError(f"{file} exists and is not overwritten; name another file")
    profiles = {AUTO: "the one that runs on any machine, today tiny", **dict.fromkeys(available_profiles(), "")}
    compare = compare or _choose("What is to be compared?", {key: text for key, (text, _) in COMPARISONS.items()})
    if compare not in COMPARISONS:
        raise UserError(f"unknown comparison {compare!r}{did_you_mean(compare, list(COMPARISONS))}")
    profile = profile or _choose("With which profile?", profiles)
    if profile not in profiles:
        raise UserError(f"unknown profile {profile!r}{did_you_mean(profile, list(profiles))}")
    if seeds is None:
        few = {"1": "shows what the algorithm does", "3": "the fewest that say how much is chance", "5": "better"}
        seeds = _number(_choose("How many training seeds for every arm?", few))
    trials = write_study(comparison=compare, profile=profile, seeds=seeds, path=file, name=name, steps=steps)
    typer.echo(f"{file} written: {trials} trials.")
    typer.echo(f"See them: iskpo-sweep plan {in_shell(file)}\nRun them: iskpo-sweep run {in_shell(file)}")


def _choose(question: str, choices: dict[str, str]) -> str:
    first = next(iter(choices))
    if not sys.stdin.isatty():
        return first
    typer.echo(question, err=True)
    for name, text in choices.items():
        typer.echo(f"  {name:<12}{text}".rstrip(), err=True)
    return str(typer.prompt("", default=first, prompt_suffix="> ", err=True)).strip()


def _number(text: str) -> int:
    if not text.isdigit():
        raise UserError(f"the number of seeds must be a whole number, got {text!r}")
    return int(text)


def write_study(
    *, comparison: str, profile: str, seeds: int, path: Path, name: str | None = None, steps: int | None = None
) -> int:
    """Write a study file, valid, short and explained line by line, and read it back as `iskpo-sweep run` would.

    Args:
        comparison: A key of `COMPARISONS`.
        profile: Name of a profile, or auto.
        seeds: Training runs of every arm.
        path: The file; not overwritten.
        name: The study's name; by default the file's.
        steps: Training steps; by default the profile's usual number.

    Returns:
        Number of trials.

    Raises:
        UserError: The file exists or cannot be written, or the answers make no study.
    """
    from sweep.study.study import load_study
    from sweep.study.study_fields import study_name

    if path.exists():
        raise UserError(f"{path} exists and is not overwritten; name another file")
    usual = _TINY if profile in ("auto", "tiny") else _LARGE
    text = _TEMPLATE.format(
        path=in_shell(path),
        name=name or study_name(path.stem),
        question=COMPARISONS[comparison][1],
        profile=profile,
        space=_SPACES[comparison],
        seeds=seeds,
        steps=usual["steps"] if steps is None else steps,
        samples=usual["samples"],
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
    try:
        study = load_study(path)
    except UserError:
        path.unlink()
        raise
    return study.space.size() * len(study.seeds)
