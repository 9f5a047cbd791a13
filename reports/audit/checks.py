"""From a file of reported numbers to a checked row for each of its claims.

A file is refused if its parts do not refer to each other; then every claim is checked, in the order in which a reader
wants their answers: what the conclusions rest on first.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from reports.audit.accuracies import check_accuracies
from reports.audit.clipping import check_clipping, check_largest_innovations
from reports.audit.differences import check_differences, check_recoveries
from reports.audit.gains import check_gains
from reports.audit.incompatible import check_incompatible
from reports.audit.innovations import check_kurtoses, check_threshold_ratios
from reports.audit.printed import Row
from reports.audit.reported import Reported
from reports.audit.thresholds import check_sigmas, check_thresholds
from reports.audit.z_tests import check_tests
from sweep.input.errors import UserError, did_you_mean
from sweep.input.schema_errors import validate
from sweep.input.yaml_source import Problem, load_yaml

# To add a kind of claim: its list in `reported`, its check here, under the same name.
CHECKS: dict[str, Callable[[Reported], list[Row]]] = {
    "tests": check_tests,
    "recoveries": check_recoveries,
    "differences": check_differences,
    "gains": check_gains,
    "sigmas": check_sigmas,
    "thresholds": check_thresholds,
    "clipping": check_clipping,
    "largest_innovations": check_largest_innovations,
    "kurtoses": check_kurtoses,
    "threshold_ratios": check_threshold_ratios,
    "incompatible": check_incompatible,
    "accuracies": check_accuracies,
}
_ARMS = ("arm", "reference", "treated", "weak", "strong")
# Keys of which a claim says one at most, and keys of which it says one at least.
_EXCLUSIVE = (("of", "token"), ("direction", "z"), ("direction", "p"))
_NEEDED = {
    "accuracies": ("average", "pass_at_k"),
    "tests": ("z", "p", "direction"),
    "clipping": ("clip_fraction", "largest_innovation", "kurtosis"),
}

# Bounds of Q/V, as in studies, and the largest P0/V: beyond, float64 cannot tell the gain from 0 or 1.
_RATIOS = (1e-30, 1e15)


def load_reported(path: Path) -> Reported:
    """Read and check a file of reported numbers.

    Args:
        path: A YAML file, as `reports.audit.reported` describes it.

    Raises:
        UserError: Anything wrong with it, all at once, each with file, line, key and the nearest valid key or value.
    """
    source = load_yaml(path)
    reported = validate(Reported, source)
    problems = [*_names(reported), *_ratios(reported), *_references(reported), *_choices(reported)]
    if problems:
        raise source.error(problems)
    if not any(getattr(reported, kind) for kind in CHECKS):
        raise UserError(f"{path}: holds no claim to check; add one of {', '.join(CHECKS)}")
    return reported


def audit(*, reported: Reported) -> list[Row]:
    """Check every claim of a file.

    Args:
        reported: From `load_reported`.

    Returns:
        One row for each claim, in the order of `CHECKS` and of the file.
    """
    return [row for check in CHECKS.values() for row in check(reported)]


def _names(reported: Reported) -> list[Problem]:
    """Names that stand twice, and accuracies of the same arm on the same benchmark."""
    keys: dict[str, list[Any]] = {
        "benchmarks": [benchmark.name for benchmark in reported.benchmarks],
        "arms": [arm.name for arm in reported.arms],
        "accuracies": [f"{row.arm} on {row.benchmark}" for row in reported.accuracies],
    }
    return [
        Problem((kind, index), f"{name} stands here for the second time; the first is {kind}[{names.index(name)}]")
        for kind, names in keys.items()
        for index, name in enumerate(names)
        if names.index(name) < index
    ]


def _ratios(reported: Reported) -> list[Problem]:
    """Arms whose filter is beyond what float64 can compute."""
    low, high = _RATIOS
    found = []
    for index, arm in enumerate(reported.arms):
        if arm.v is None:
            continue
        for key, value, least in (("q", arm.q, low), ("p0", arm.p0, 0.0)):
            if value and not least * arm.v <= value <= high * arm.v:
                limits = f"{low:g} to {high:g}" if key == "q" else f"0 to {high:g}"
                found.append(Problem(("arms", index, key), f"{key} / v is outside {limits}"))
    return found


def _references(reported: Reported) -> list[Problem]:
    """Arms and benchmarks that a claim names and the file does not hold."""
    arms, benchmarks = [arm.name for arm in reported.arms], [benchmark.name for benchmark in reported.benchmarks]
    known = {**dict.fromkeys(_ARMS, ("arm", arms)), "benchmark": ("benchmark", benchmarks)}
    found = []
    for kind in CHECKS:
        for index, claim in enumerate(getattr(reported, kind)):
            for key in type(claim).model_fields:
                if key in known and (name := getattr(claim, key)) not in known[key][1]:
                    what, valid = known[key]
                    hint = did_you_mean(name, valid) if valid else f"; the file has no {what}s"
                    found.append(Problem((kind, index, key), f"unknown {what} {name!r}{hint}"))
    return found


def _choices(reported: Reported) -> list[Problem]:
    """Claims that say two things where one is possible, or nothing."""
    found = []
    for kind in CHECKS:
        for index, claim in enumerate(getattr(reported, kind)):
            given = {key for key in type(claim).model_fields if getattr(claim, key) is not None}
            for pair in _EXCLUSIVE:
                if given.issuperset(pair):
                    found.append(Problem((kind, index, pair[1]), f"leave out {pair[0]} or {pair[1]}"))
            if kind in _NEEDED and given.isdisjoint(_NEEDED[kind]):
                found.append(Problem((kind, index), f"needs at least one of {', '.join(_NEEDED[kind])}"))
    return found
