"""Properties over generated study files."""

import itertools
import math
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.arms.twins import family
from sweep.input.errors import UserError
from sweep.study.plan import plan_trials
from sweep.study.study import Study, load_study

_SETTINGS = settings(max_examples=80, deadline=None, derandomize=True)

_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
_q = st.floats(1e-12, 10.0)
_v = st.floats(1e-6, 10.0)
_kappa = st.one_of(st.just(math.inf), st.floats(0.01, 10.0))


def _some(values, most=3):
    return st.lists(values, min_size=1, max_size=most, unique=True)


_grids = st.fixed_dictionaries({"kind": st.just("grid"), "q": _some(_q), "v": _some(_v), "kappa": _some(_kappa)})
_arm = st.fixed_dictionaries(
    {"name": _names, "q": _q, "v": _v},
    optional={"kappa": _kappa, "p0": st.floats(0, 1), "rho0": st.floats(-1, 1), "gradient": st.just("through")},
)
_arm_lists = st.fixed_dictionaries(
    {
        "kind": st.just("arms"),
        "arms": st.lists(_arm, min_size=1, max_size=4, unique_by=(lambda a: a["name"].lower(), lambda a: a["q"])),
    }
)
_studies = st.fixed_dictionaries(
    {"name": _names, "space": st.one_of(_grids, _arm_lists), "steps": st.integers(1, 10**6)},
    optional={
        "question": st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=30),
        "profile": st.sampled_from(["auto", "tiny"]),
        "seeds": st.one_of(st.integers(1, 5), _some(st.integers(0, 2**31 - 1))),
        "eval": st.fixed_dictionaries({}, optional={"samples": st.integers(1, 64), "every": st.integers(1, 9)}),
        "slots": st.integers(1, 8),
        "p0": st.floats(0, 1),
        "rho0": st.floats(-1, 1),
        "overrides": st.dictionaries(st.just("actor_rollout_ref.actor.optim.lr"), st.floats(0, 1)),
    },
)


def _dump(value) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)


def _as_lists(value):
    if isinstance(value, dict):
        return {key: _as_lists(item) for key, item in value.items()}
    return [_as_lists(item) for item in value] if isinstance(value, tuple | list) else value


@given(data=_studies)
@_SETTINGS
def test_a_valid_study_survives_writing_and_reading(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("s") / "study.yaml"
    path.write_text(_dump(data), encoding="utf-8")
    study = load_study(path)
    assert study == Study.model_validate(data)
    path.write_text(_dump(_as_lists(study.model_dump())), encoding="utf-8")
    assert load_study(path) == study


@given(data=_studies)
@_SETTINGS
def test_a_plan_is_stable_unique_complete_and_breadth_first(data):
    study = Study.model_validate(data)
    plan = plan_trials(study)
    arms = study.arms
    assert plan == plan_trials(Study.model_validate(data))
    keys = [trial.key for trial in plan]
    assert len({key.lower() for key in keys}) == len(keys) == study.space.size() * len(study.seeds)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", key) and len(key) < 120 for key in keys)
    for index, trial in enumerate(plan):
        assert trial.seed == study.seeds[index // len(arms)]
        # Within a seed, those that differ in kappa alone stand at each other's places, the largest first.
        assert family(trial.arm) == family(arms[index % len(arms)])
        assert trial.untrained == (index % len(arms) == 0)
    first = [trial.arm for trial in plan[: len(arms)]]
    assert {arm.name for arm in first} == {arm.name for arm in arms}
    for arm, later in itertools.combinations(first, 2):
        assert family(arm) != family(later) or arm.kappa >= later.kappa


@given(data=_studies, comments=st.lists(st.integers(0, 40), max_size=10), extra=st.sampled_from(["stepz", "qq", "x"]))
@_SETTINGS
def test_the_line_of_a_wrong_key_is_right_wherever_it_stands(tmp_path_factory, data, comments, extra):
    lines = [*_dump(data).splitlines(), f"{extra}: 1"]
    # A question may span lines; inside it a comment would be text.
    question = any(line.startswith("question") for line in lines)
    for position in comments:
        lines.insert(0 if question else position % len(lines), "# a comment")
    path = tmp_path_factory.mktemp("s") / "study.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_study(path)
    assert f"{path}:{lines.index(f'{extra}: 1') + 1}: {extra}: unknown key" in str(caught.value)


_BASE = _dump(
    {
        "name": "example",
        "space": {"kind": "grid", "q": [1e-6, 1e-2], "v": [1.0], "kappa": [math.inf, 3.0]},
        "seeds": [0, 1],
        "steps": 2,
        "eval": {"samples": 4, "every": None},
        "overrides": {"data.shuffle": False},
    }
)
_WORDS = """-1 0 .nan -.inf 1e400 {} [] [[]] {a:1} ~ true ' " &a *a ? - : % @ | > << --- ... 0x10 é"""
_JUNK = st.sampled_from([*_WORDS.split(), "", "!!x y", "!!int z", "? ", "- ", ": ", "\t", "\x00", "\ufeff", "9" * 400])


def _read_or_refused(path) -> None:
    """Planning succeeds or is refused with the file's name; anything else propagates and fails the test."""
    try:
        plan_trials(load_study(path))
    except UserError as error:
        message = str(error)
    else:
        return
    assert message.startswith(f"{path}:")


@given(changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 12), _JUNK), min_size=1, max_size=4))
@settings(max_examples=250, deadline=None, derandomize=True)
def test_a_damaged_study_file_is_read_or_refused_with_its_name_and_never_a_traceback(tmp_path_factory, changes):
    text = _BASE
    for start, length, junk in changes:
        start %= len(text) + 1
        text = text[:start] + junk + text[start + length :]
    path = tmp_path_factory.mktemp("s") / "study.yaml"
    path.write_text(text, encoding="utf-8")
    _read_or_refused(path)


@given(data=_studies, junk=_JUNK, choice=st.integers(0, 1000))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_value_in_any_place_is_read_or_refused_with_its_name(tmp_path_factory, data, junk, choice):
    lines = _dump(data).splitlines()
    index = choice % len(lines)
    lines[index] = re.sub(r"(: |- ).*", lambda found: found[1] + junk, lines[index])
    path = tmp_path_factory.mktemp("s") / "study.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    _read_or_refused(path)
