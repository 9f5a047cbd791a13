"""Hundreds of wrong studies, over every kind of space: each ends with exit code 2 and a line that names the key."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from sweep.commands.cli import app
from sweep.input.yaml_source import dotted

_COMMON = {"name": "m", "steps": 2, "seeds": [0, 1], "eval": {"samples": 4}, "traces": {"megabytes": 1.5}, "slots": 1}
_OWN = """
from typing import Annotated
from pydantic import Field
from sweep.search_spaces import Arm
from sweep.search_spaces import SearchSpace

class Mine(SearchSpace):
    gains: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)]
    scale: Annotated[float, Field(gt=0)]

    def location(self, index):
        return ("gains", index)

    def size(self):
        return len(self.gains)

    def to_arms(self, *, defaults):
        return [Arm(name=f"g{gain:g}", q=gain**2, v=self.scale, kappa=3.0) for gain in self.gains]
"""
_SPACES: dict[str, dict[str, Any]] = {
    "grid": {"kind": "grid", "q": [1e-6, 1e-4], "v": [1.0], "kappa": [3.0], "estimator": ["clip", "huber"]},
    "arms": {
        "kind": "arms",
        "arms": [
            {"name": "a", "q": 1e-6, "v": 1.0, "kappa": 3.0, "p0": 0.5, "rho0": 0.1, "estimator": "wolf"},
            {"name": "b", "q": 1e-6, "v": 1.0, "gradient": "through", "numerics": "exact", "dynamic_sampling": True},
            {"name": "c", "loss": "gspo", "clip_low": 1e-3, "clip_high": 1e-3, "advantage": "krpo"},
            {"name": "d", "loss": "sapo"},
        ],
    },
    "decoupled": {
        "kind": "decoupled",
        "gain": {"low": 1e-4, "high": 0.3, "count": 3},
        "threshold": [0.1, 0.3],
        "kappa": [3.0],
    },
    "optuna": {
        "kind": "optuna",
        "trials": 4,
        "sampler": "nsga2",
        "sampler_seed": 1,
        "objective": ["accuracy", "realised_gain"],
        "parameters": {
            "estimator": {"choices": ["clip", "huber"]},
            "gain": {"low": 1e-4, "high": 0.3, "log": True},
            "threshold": {"low": 0.1, "high": 3.0, "step": 0.1},
            "kappa": {"low": 1, "high": 4, "type": "int", "when": {"estimator": ["huber"]}},
            "p0": 0.5,
        },
    },
    "replay": {
        "kind": "optuna",
        "trials": 4,
        "objective": ["clip_fraction", "autocorrelation"],
        "parameters": {"q": {"low": 1e-6, "high": 1e-2}, "v": {"low": 0.5, "high": 1.0}},
    },
    "own": {"kind": "mine.py:Mine", "gains": [1e-3, 1e-2], "scale": 1.0},
}
# The keys that go with one kind of study alone; what is None is left out of it.
_WITH: dict[str, dict[str, Any]] = {
    "grid": {
        "early_stopping": {"method": "asha", "metric": "reward", "after": 1, "keep": 2, "others": 2},
        "budget": {"trials": 3, "steps": 6, "hours": 0.5},
    },
    "replay": {"trial": {"kind": "replay", "traces": "earlier", "only": ["a_s0"]}, "steps": None, "seeds": None},
}
# Keys that may be left out, or hold any text.
_OPTIONAL = {
    *("seeds", "eval", "samples", "traces", "megabytes", "slots"),
    *("estimator", "kappa", "p0", "rho0", "gradient", "numerics"),
    *("dynamic_sampling", "loss", "clip_low", "clip_high", "advantage"),
    *("metric", "after", "keep", "others", "hours", "only", "early_stopping", "budget", "trial", "traces"),
    *("sampler", "sampler_seed", "objective", "log", "step", "type", "when"),
}
_TEXT = {"name", "traces", "only"}


def _study(kind: str) -> dict[str, Any]:
    whole = {**_COMMON, **_WITH.get(kind, {}), "space": _SPACES[kind]}
    return {key: value for key, value in whole.items() if value is not None}


def _places(value: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    yield where, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*where, key))


def _changed(study: dict[str, Any], where: tuple[Any, ...], value: Any) -> dict[str, Any]:
    study = copy.deepcopy(study)
    inner = study
    for part in where[:-1]:
        inner = inner[part]
    if value is _REMOVED:
        del inner[where[-1]]
    else:
        inner[where[-1]] = value
    return study


_REMOVED = object()


def _mutations() -> Iterator[tuple[str, dict[str, Any], str]]:
    """A description, a study with one thing wrong in it, and a key that its message must name."""
    for kind in _SPACES:
        study = _study(kind)
        for where, value in _places(study):
            key = where[-1] if where else ""
            # Spaces of one's own check their lists as pydantic does; what is shared is tried with the grid alone.
            if kind != "grid" and where and where[0] not in ("space", *_WITH.get(kind, {})):
                continue
            at = dotted(where)
            if isinstance(value, dict) and "parameters" not in where[-1:]:
                yield f"{kind}: {at} with an unknown key", _changed(study, (*where, "zzz"), 1), "zzz"
            optional = key in _OPTIONAL or where[:1] == ("budget",)
            if where and isinstance(key, str) and not optional and kind != "own":
                yield f"{kind}: without {at}", _changed(study, where, _REMOVED), key
            if not where or key in _TEXT:
                continue
            if not isinstance(value, dict):
                yield f"{kind}: a mapping for {at}", _changed(study, where, {"zzz": 1}), _named(where)
            if isinstance(value, int | float):
                for wrong in (True, [], "zzz") if isinstance(value, bool) is False else (1.5, [], "zzz"):
                    if not (key == "seeds" and wrong == 3):
                        yield f"{kind}: {wrong!r} for {at}", _changed(study, where, wrong), _named(where)
                if not isinstance(value, bool) and "rho0" not in where:
                    for wrong in (-1.0, float("nan")):
                        yield f"{kind}: {wrong} for {at}", _changed(study, where, wrong), _named(where)
            elif isinstance(value, str):
                for wrong in ("zzz", 3) if "only" not in where else (3,):
                    yield f"{kind}: {wrong!r} for {at}", _changed(study, where, wrong), _named(where)
            elif isinstance(value, list):
                yield f"{kind}: an empty list for {at}", _changed(study, where, []), _named(where)
                yield f"{kind}: {at} twice over", _changed(study, where, [*value, *value]), _named(where)


def _named(where: tuple[Any, ...]) -> str:
    """The innermost key around a place: list positions are shown with it."""
    return str([part for part in where if isinstance(part, str)][-1])


_ALL = list(_mutations())


def test_there_are_hundreds_over_all_kinds():
    assert len(_ALL) >= 300
    assert {description.partition(":")[0] for description, _, _ in _ALL} == set(_SPACES)
    assert len({description for description, _, _ in _ALL}) == len(_ALL)


@pytest.mark.parametrize("kind", _SPACES)
def test_each_is_refused_with_exit_code_2_and_the_keys_name(tmp_path, kind):
    (tmp_path / "mine.py").write_text(_OWN)
    path = tmp_path / "study.yaml"
    runner = CliRunner(env={"CUDA_VISIBLE_DEVICES": ""})
    path.write_text(yaml.safe_dump(_study(kind), sort_keys=False))
    right = runner.invoke(app, ["plan", str(path)])
    assert right.exit_code == 0, right.output
    survived = []
    for description, study, key in _ALL:
        if not description.startswith(f"{kind}:"):
            continue
        path.write_text(yaml.safe_dump(study, sort_keys=False))
        done = runner.invoke(app, ["plan", str(path)])
        reasons = [line for line in done.stderr.splitlines() if line.strip().startswith((str(path), f"error: {path}"))]
        right_kind = isinstance(done.exception, SystemExit) and done.exit_code == 2
        if not right_kind or not any(key in reason.partition(str(path))[2] for reason in reasons):
            survived.append((description, key, done.exit_code, repr(done.exception), done.stderr))
        assert "Traceback" not in done.output
        assert len(done.stderr.splitlines()) == len(reasons) == max(1, done.stderr.count(f"{path}:")) or survived
    assert survived == []
