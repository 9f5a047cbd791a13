"""What several commands share: arguments and how a shell completes them, the study with its profile, the first line.

A shell runs the whole command for every press of the tab key, so what completes reads files and imports nothing heavy.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.commands.shipped import shipped_studies, study_path
from sweep.input.errors import UserError

if TYPE_CHECKING:
    from sweep.arms.verl_settings import Value
    from sweep.profiles.profile import Profile
    from sweep.study.study import Study


def complete_study(incomplete: str) -> list[str]:
    """YAML files, the folders on the way to them, and once a name is begun the shipped studies."""
    files = [*_entries(incomplete, ending=".yaml"), *_entries(incomplete, ending=".yml"), *_folders(incomplete)]
    return files + [name for name in shipped_studies() if incomplete and name.startswith(incomplete)]


def complete_output(incomplete: str) -> list[str]:
    """Folders that hold a study, those under ``output/`` first, and the folders on the way to others."""
    usual = [] if "/" in incomplete else [path for path in _folders("output/") if path.startswith(incomplete)]
    studies = [path for path in usual if (Path(path) / "mlflow.db").is_file()]
    return studies + [path for path in _folders(incomplete) if path not in studies]


def complete_trial(ctx: typer.Context, incomplete: str) -> list[str]:
    """Trials of the study in the folder that stands before."""
    from sweep.store.study_folder import planned_trials

    # An option whose value is being typed keeps what stands before it from being parsed; then the line itself, which
    # bash and other shells hand over in one of these variables.
    line = os.environ.get("COMP_WORDS", os.environ.get("_TYPER_COMPLETE_ARGS", ""))
    for word in (str(ctx.params.get("output") or ""), *line.split()):
        if trials := planned_trials(Path(word)):
            return [trial["key"] for trial in trials if trial["key"].startswith(incomplete)]
    return []


def complete_profile(incomplete: str) -> list[str]:
    """Profiles, and auto."""
    from sweep.profiles.profile import AUTO, available_profiles

    return [name for name in (AUTO, *available_profiles()) if name.startswith(incomplete)]


def _entries(incomplete: str, *, ending: str) -> list[str]:
    return [text for text, path in _begins_with(incomplete) if path.is_file() and text.endswith(ending)]


def _folders(incomplete: str) -> list[str]:
    return [f"{text}/" for text, path in _begins_with(incomplete) if path.is_dir()]


def _begins_with(incomplete: str) -> Iterator[tuple[str, Path]]:
    """What a shell would offer, each as the user began to write it; hidden files only when asked for."""
    head, slash, tail = incomplete.rpartition("/")
    folder = Path(head + slash).expanduser() if slash else Path()
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return
    for path in paths:
        if path.name.startswith(tail) and (tail or not path.name.startswith(".")):
            yield f"{head}{slash}{path.name}", path


StudyFile = Annotated[
    Path,
    typer.Argument(
        metavar="STUDY",
        help="Study file, such as mine.yaml, or the name of a shipped study, such as qv_kappa.",
        autocompletion=complete_study,
        callback=study_path,
    ),
]
OutputFolder = Annotated[
    Path, typer.Argument(metavar="OUTPUT", help="Output folder of a run.", autocompletion=complete_output)
]
ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        help="Use this profile instead of the study's: auto, or a name in sweep/profiles.",
        autocompletion=complete_profile,
    ),
]
UiPort = Annotated[
    int | None, typer.Option(metavar="N", help="Serve MLflow's pages on 127.0.0.1:N while the study runs.")
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--address",
        "--ray-address",
        metavar="ADDRESS",
        envvar="RAY_ADDRESS",
        help="Use this Ray cluster: host:port, or auto. [default: ray.address in the study]",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but the report's path.")]
JsonLines = Annotated[
    bool, typer.Option("--json", help="Print one JSON object per event, for programs (docs/events.md).")
]


def study_and_profile(study_file: Path, profile: str | None, *, needs_device: bool = True) -> "tuple[Study, Profile]":
    """The study, and the profile that stands for what it or the command line asks for."""
    from iskpo.verl.names import SAMPLES_OF_PROMPT
    from sweep.arms.losses import ADVANTAGE_ESTIMATOR, single_sample_problem
    from sweep.profiles.batch_sizes import micro_batches
    from sweep.profiles.profile import resolve_profile
    from sweep.study.study import load_study

    study = load_study(study_file)
    # A plan starts nothing, so that a study for a GPU can be looked at without one; and a replay trains nothing.
    chosen = resolve_profile(profile or study.profile, trains=needs_device and not study.trial.is_replay)
    if study.eval.matching != "equivalent" and chosen.task != "maths":
        raise UserError(
            f"{study_file}: eval.matching: {study.eval.matching} is of the mathematics task; profile {chosen.name} has "
            f"the task {chosen.task}: leave it out, or take another profile (tiny-maths, qwen3-...)"
        )
    settings = {**chosen.verl, **{key.lstrip("+"): value for key, value in study.overrides.items()}}
    single = single_sample_problem(samples=settings.get(SAMPLES_OF_PROMPT), estimator=settings.get(ADVANTAGE_ESTIMATOR))
    if single and not study.trial.is_replay:
        raise UserError(f"{study_file}: profile {chosen.name}: {SAMPLES_OF_PROMPT}: {single}")
    gpus = study.ray.gpus_per_trial or chosen.ray.slot_gpus
    # Once for the study, and once for each combination of sizes that its arms have.
    for name, own in {"": {}, **_settings_of_arms(study)}.items():
        try:
            micro_batches(profile=chosen.verl, overrides={**study.overrides, **own}, gpus=gpus)
        except UserError as error:
            raise UserError(f"{study_file}: {f'arm {name}: ' if name else ''}{error}") from None
    return study, chosen


def _settings_of_arms(study: "Study") -> "dict[str, dict[str, Value | None]]":
    """Name of an arm to its settings of verl's, of one arm for each combination of settings that there is."""
    from sweep.search_spaces import AdaptiveSpace

    space = study.space
    arms = space.corners(defaults=study.defaults) if isinstance(space, AdaptiveSpace) else study.arms
    found = {tuple(sorted(arm.verl_settings().items())): arm for arm in reversed(arms) if arm.settings}
    return {arm.name: arm.verl_settings() for arm in reversed(found.values())}


def sign_of_life(text: str) -> None:
    """Say what is being done before seconds of imports or reading; to people alone, not to a file or a program."""
    if sys.stderr.isatty():
        typer.echo(f"{text} ...", err=True)
