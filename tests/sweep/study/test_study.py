import re

import pytest

from sweep.arms.verl_settings import RESERVED
from sweep.input.errors import UserError
from sweep.study.study import Study, load_study

ARMS = """\
name: example
space:
  kind: arms
  arms:
    - kpo-strong
    - {name: mine, q: 1e-3, v: 0.5, kappa: 2, p0: 0.1}
steps: 2
"""


def _message(path) -> str:
    with pytest.raises(UserError) as caught:
        load_study(path)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_defaults(write_study):
    study = load_study(write_study())
    assert (study.profile, study.seeds, study.slots, study.eval.samples, study.eval.every) == ("auto", (0,), 1, 4, None)
    assert (study.p0, study.rho0, study.gradient, study.numerics, study.overrides) == (
        0.0,
        0.0,
        "straight_through",
        "exact",
        {},
    )


def test_seeds_are_a_number_or_a_list(write_study):
    assert load_study(write_study(replace={"steps: 2": "steps: 2\nseeds: 3"})).seeds == (0, 1, 2)
    assert load_study(write_study(replace={"steps: 2": "steps: 2\nseeds: [7, 3]"})).seeds == (7, 3)


def test_arms_take_what_they_leave_out_from_the_study(write_study):
    text = ARMS + "rho0: 0.25\ngradient: through\n"
    strong, mine = load_study(write_study(text)).arms
    assert (strong.name, strong.q, strong.v, strong.kappa) == ("kpo-strong", 1e-6, 1.0, float("inf"))
    assert (strong.p0, strong.rho0, strong.gradient) == (0.0, 0.25, "through")
    assert (mine.q, mine.v, mine.kappa, mine.p0, mine.rho0) == (1e-3, 0.5, 2.0, 0.1, 0.25)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("steps: 2", "stepz: 2", "7: stepz: unknown key; did you mean 'steps'?"),
        ("  kappa: [inf, 3]", "  kapa: [inf, 3]", "6: space.kapa: unknown key; did you mean 'kappa'?"),
        ("  kappa: [inf, 3]\n", "", "3: space.kappa: this key is missing"),
        ("steps: 2\n", "", "1: steps: this key is missing"),
        ("steps: 2", "steps: 0", "7: steps: must be >= 1, got 0"),
        ("steps: 2", "steps: 2.5", "7: steps: must be a whole number, got 2.5"),
        ("steps: 2", "steps: two", "7: steps: must be a whole number, got 'two'"),
        ("steps: 2", "steps: true", "7: steps: must be a whole number, got true"),
        ("steps: 2", "steps:", "7: steps: must be a whole number, got nothing"),
        (
            "steps: 2",
            "steps: 2\nsteps: 3",
            "8: steps: this key stands here for the second time; the first is on line 7",
        ),
        ("1e-6, 1e-2", "1e-6, -1e-2", "4: space.q[1]: must be >= 0, got -0.01"),
        ("1e-6, 1e-2", "1e-6, inf", "4: space.q[1]: must be a finite number, got inf"),
        ("1e-6, 1e-2", ".nan", "4: space.q[0]: must be"),
        ("1e-6, 1e-2", "1e-6, 1e-6", "4: space.q: holds 1e-06 more than once"),
        ("1e-6, 1e-2", "'1e-6'", "4: space.q[0]: must be a number, got '1e-6'"),
        ("[1e-6, 1e-2]", "1e-6", "4: space.q: must be a list, for example [1e-06], got 1e-06"),
        ("[1e-6, 1e-2]", "[]", "4: space.q: must not be empty"),
        ("1e-6, 1e-2", "0", "with q = 0 and p0 = 0 the gain is 0 for ever"),
        ("1e-6, 1e-2", "1e300", "3: space: arm Q1e+300_V1_kinf: q / v = 1e+300 is outside"),
        ("1e-6, 1e-2", "1e-300", "3: space: arm Q1e-300_V1_kinf: q / v = 1e-300 is outside"),
        ("v: [1]", "v: [0]", "5: space.v[0]: must be > 0, got 0"),
        ("v: [1]", "v: [-1]", "5: space.v[0]: must be > 0, got -1"),
        ("[inf, 3]", "[inf, 0]", "6: space.kappa[1]: must be > 0 (.inf for no clipping), got 0"),
        ("[inf, 3]", "[inf, -3]", "6: space.kappa[1]: must be > 0 (.inf for no clipping), got -3"),
        ("[inf, 3]", "[.nan]", "6: space.kappa[0]: must be > 0 (.inf for no clipping), got nan"),
        ("kind: grid", "kind: gird", "3: space.kind: unknown kind 'gird'; did you mean 'grid'?"),
        ("kind: grid", "kind: 3", "3: space.kind: unknown kind 3; valid: arms, decoupled, grid, optuna"),
        ("  kind: grid\n", "", "3: space.kind: this key is missing; valid: arms, decoupled, grid, optuna"),
        ("name: example", "name: two words", "1: name: may hold letters"),
        ("name: example", "name: ../escape", "1: name: may hold letters"),
        ("name: example", "name: no\nprofile: tyny", "2: profile: unknown profile 'tyny'; did you mean 'tiny'?"),
        ("steps: 2", "steps: 2\nseeds: []", "8: seeds: must not be empty"),
        ("steps: 2", "steps: 2\nseeds: 0", "8: seeds: must be a number of seeds"),
        ("steps: 2", "steps: 2\nseeds: [1, 1]", "8: seeds: holds 1 more than once"),
        ("steps: 2", "steps: 2\nseeds: [1, -1]", "8: seeds[1]: must be >= 0, got -1"),
        ("steps: 2", "steps: 2\nseeds: 60000", "3: space: 4 arms with 60,000 seeds are 240,000 trials"),
        ("steps: 2", "steps: 2\nslots: 0", "8: slots: must be >= 1, got 0"),
        ("steps: 2", "steps: 2\np0: -1", "8: p0: must be >= 0, got -1"),
        ("steps: 2", "steps: 2\nrho0: inf", "8: rho0: must be a finite number, got inf"),
        ("steps: 2", "steps: 2\ngradient: straight", "8: gradient: unknown value 'straight'; did you mean"),
        ("steps: 2", "steps: 2\nnumerics: fp32", "8: numerics: unknown value 'fp32'"),
        ("steps: 2", "steps: 2\nnumerics: public-cumsum-fp32", "arm Q1e-06_V1_k3: numerics public-cumsum-fp32 cannot"),
        ("steps: 2", "steps: 2\nestimator: hubr", "8: estimator: unknown value 'hubr'; did you mean 'huber'?"),
        ("steps: 2", "steps: 2\nestimator: wolf", "3: space: arm Q1e-06_V1_kinf: estimator wolf with kappa = .inf is"),
        ("steps: 2", "steps: 2\nestimator: ema", "3: space: arm Q1e-06_V1_k3: estimator ema has no threshold"),
        (
            "  v: [1]",
            "  v: [1]\n  estimator: [clip, wolff]",
            "6: space.estimator[1]: unknown value 'wolff'; did you mean 'wolf'?",
        ),
        (
            "  v: [1]",
            "  v: [1]\n  numerics: [exakt]",
            "6: space.numerics[0]: unknown value 'exakt'; did you mean 'exact'?",
        ),
        ("  v: [1]", "  v: [1]\n  numerics: exact", "6: space.numerics: must be a list, for example [exact]"),
        ("steps: 2", "steps: 2\neval: {samples: 0}", "8: eval.samples: must be >= 1, got 0"),
        ("steps: 2", "steps: 2\ntraces: {megabytes: -1}", "8: traces.megabytes: must be >= 0, got -1"),
        ("steps: 2", "steps: 2\ntraces: {megabyte: 1}", "8: traces.megabyte: unknown key; did you mean 'megabytes'?"),
        ("steps: 2", "steps: 2\neval: {evry: 1}", "8: eval.evry: unknown key; did you mean 'every'?"),
        ("steps: 2", "steps: 2\neval: 4", "8: eval: must be a mapping of keys to values, got 4"),
        (
            "steps: 2",
            "steps: 2\noverrides: {data.seed: 3}",
            "8: overrides.data.seed: iskpo-sweep sets data.seed itself",
        ),
        ("steps: 2", "steps: 2\noverrides: {a b: 3}", "8: overrides.a b: is not a dotted verl key"),
    ],
)
def test_what_is_wrong_is_said_with_line_key_and_nearest_valid_word(write_study, old, new, expected):
    path = write_study(replace={old: new})
    message = _message(path)
    assert message.startswith(f"{path}:")
    assert expected in message


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("- kpo-strong", "- kpo-stong", "5: space.arms[0]: no arm of the paper is called 'kpo-stong'; did you mean"),
        ("v: 0.5", "v: 0", "6: space.arms[1].v: must be > 0, got 0"),
        ("v: 0.5, ", "", "6: space.arms[1].v: this key is missing"),
        ("kappa: 2", "capa: 2", "6: space.arms[1].capa: unknown key; did you mean 'kappa'?"),
        ("name: mine", "name: a/b", "6: space.arms[1].name: may hold letters"),
        ("name: mine", "name: KPO-strong", "6: space.arms[1]: two arms are called 'kpo-strong'"),
        (
            "q: 1e-3, v: 0.5, kappa: 2, p0: 0.1",
            "q: 1e-6, v: 1",
            "6: space.arms[1]: arms 'kpo-strong' and 'mine' have the same parameters",
        ),
        ("q: 1e-3", "q: 0, numerics: exact", None),
        ("p0: 0.1", "estimator: hubber", "6: space.arms[1].estimator: unknown value 'hubber'; did you mean 'huber'?"),
        (
            "kappa: 2, p0: 0.1",
            "numerics: public-cumsum-fp32, estimator: ema",
            "6: space.arms[1]: arm mine: numerics public-cumsum-fp32 is one formula, without the estimator ema",
        ),
        ("p0: 0.1", "numerics: public-cumsum-fp32", "6: space.arms[1]: arm mine: numerics public-cumsum-fp32 cannot"),
    ],
)
def test_what_is_wrong_with_a_listed_arm_is_said_with_its_line(write_study, old, new, expected):
    path = write_study(ARMS, replace={old: new})
    if expected is None:
        assert len(load_study(path).arms) == 2
    else:
        assert f"{path}:{expected}" in _message(path)


def test_everything_wrong_is_said_at_once(write_study):
    path = write_study(replace={"steps: 2": "stepz: 2", "v: [1]": "v: [0]", "1e-6,": "-1e-6,"})
    lines = _message(path).splitlines()
    assert lines[0] == f"{path}: 4 problems"
    assert [line.split(":")[1] for line in lines[1:]] == ["1", "4", "5", "7"]


@pytest.mark.parametrize("text", ["3\n", "text\n", "[1, 2]\n", "null\n"])
def test_a_file_that_holds_no_mapping(write_study, text):
    path = write_study(text)
    assert _message(path).startswith(f"{path}:1: must be a mapping of keys to values")


@pytest.mark.parametrize("key", sorted(RESERVED))
@pytest.mark.parametrize("prefix", ["", "+", "++"])
def test_reserved_overrides_are_refused_with_the_way_to_do_it(write_study, key, prefix):
    full = f"{key}x" if key.endswith(".") else key
    message = _message(write_study(replace={"steps: 2": f"steps: 2\noverrides: {{{prefix}{full}: 1}}"}))
    assert RESERVED[key] in message


def test_other_overrides_are_kept(write_study):
    text = "steps: 2\noverrides: {actor_rollout_ref.actor.optim.lr: 1e-4, +data.x: [1, a]}"
    study = load_study(write_study(replace={"steps: 2": text}))
    assert study.overrides == {"actor_rollout_ref.actor.optim.lr": 1e-4, "+data.x": [1, "a"]}


def test_a_study_can_be_made_without_a_file():
    study = Study(name="x", space={"kind": "grid", "q": [1e-6], "v": [1.0], "kappa": [3.0]}, seeds=[4], steps=1)
    assert [arm.name for arm in study.arms] == ["Q1e-06_V1_k3"]


def test_arms_that_differ_by_the_estimator_alone_are_different_arms(write_study):
    text = ARMS + "estimator: huber\n"
    listed = "- {name: other, q: 1e-3, v: 0.5, kappa: 2, p0: 0.1, estimator: clip}"
    other, mine = load_study(write_study(text, replace={"- kpo-strong": listed})).arms
    assert (other.estimator, mine.estimator) == ("clip", "huber")


@pytest.mark.parametrize("key", ["actor_rollout_ref.rollout.n", "+actor_rollout_ref.rollout.n"])
@pytest.mark.parametrize("advantage", [None, "rloo", "krpo"])
def test_one_sample_a_prompt_leaves_group_relative_advantages_nothing_to_compare(write_study, key, advantage):
    arm = "{name: a, q: 0.01, v: 1" + (f", advantage: {advantage}" if advantage else "") + "}"
    text = f"name: x\nspace: {{kind: arms, arms: [{arm}]}}\nsteps: 1\noverrides:\n  {key}: 1\n"
    expected = rf":5: overrides.{re.escape(key)}: one sample a prompt leaves {advantage or 'grpo'} nothing to compare"
    with pytest.raises(UserError, match=expected):
        load_study(write_study(text))
    assert load_study(write_study(text, replace={"n: 1\n": "n: 2\n"}))
    if advantage is None:
        assert load_study(write_study(text + "  algorithm.adv_estimator: reinforce_plus_plus\n"))
