"""verl's settings as axes of every kind of space: names, values, arms, and what is refused."""

import pytest

from sweep.arms.arm import Arm
from sweep.arms.verl_settings import RESERVED, SHORT_NAMES, canonical, value_problem, verl_keys
from sweep.input.errors import UserError
from sweep.study.plan import plan_trials
from sweep.study.study import Study, load_study

_DECAY = "actor_rollout_ref.actor.optim.weight_decay"
_SCHEDULE = "actor_rollout_ref.actor.optim.lr_scheduler_type"
_SPACES = {
    "grid": {"kind": "grid", "q": [1e-6], "v": [1.0], "kappa": [3.0, 1.0]},
    "decoupled": {"kind": "decoupled", "gain": [1e-3], "threshold": [0.1, 0.3]},
    "arms": {"kind": "arms", "arms": ["kpo-strong", {"name": "grpo", "loss": "grpo"}]},
}


def _study(space: dict, **others) -> Study:
    return Study.model_validate({"name": "s", "steps": 2, "space": space, **others})


@pytest.mark.parametrize("kind", _SPACES)
def test_every_arm_is_crossed_with_every_setting_and_named_by_it(kind):
    plain = _study(_SPACES[kind]).arms
    arms = _study(_SPACES[kind] | {"lr": [1e-5, 1e-4], _SCHEDULE: ["cosine"]}).arms
    endings = ["_lr1e-05_lr_scheduler_type-cosine", "_lr0.0001_lr_scheduler_type-cosine"]
    assert [arm.name for arm in arms] == [f"{arm.name}{ending}" for ending in endings for arm in plain]
    assert [arm.settings["lr"] for arm in arms] == [1e-5] * len(plain) + [1e-4] * len(plain)
    assert arms[0].verl_settings() == {"actor_rollout_ref.actor.optim.lr": 1e-5, _SCHEDULE: "cosine"}
    # The learning rate changes in a warm slot, the schedule does not.
    assert arms[0].slot_settings == {_SCHEDULE: "cosine"}
    assert len({arm.parameters for arm in [*plain, *arms]}) == 3 * len(plain)


def test_one_arm_may_have_settings_of_its_own():
    space = {"kind": "arms", "arms": [{"name": "a", "q": 1e-6, "v": 1, "clip": 0.2}, {"name": "b", "q": 1e-6, "v": 1}]}
    first, second = _study(space).arms
    assert (first.settings, second.settings) == ({"clip": 0.2}, {})
    assert set(first.verl_settings()) == set(SHORT_NAMES["clip"].keys)


def test_optuna_searches_settings_like_parameters():
    parameters = {
        "q": 1e-6,
        "v": 1.0,
        "lr": {"low": 1e-5, "high": 1e-3, "log": True},
        "mini_batch": {"low": 3, "high": 6, "step": 3, "type": "int"},
        "actor_rollout_ref.actor.use_kl_loss": {"choices": [True, False]},
    }
    study = _study({"kind": "optuna", "trials": 4, "parameters": parameters})
    corners = study.space.corners(defaults=study.defaults)
    assert len(corners) == 8
    values = {"lr": 1.23456e-4, "mini_batch": 6.0, "actor_rollout_ref.actor.use_kl_loss": False, "q": 1e-6, "v": 1.0}
    arm = study.space.arm(number=3, values=values, defaults=study.defaults)
    assert arm.name == "t0003_lr0.000123_mini_batch6_use_kl_lossfalse"
    assert arm.settings == {"lr": 1.23456e-4, "mini_batch": 6, "actor_rollout_ref.actor.use_kl_loss": False}
    assert isinstance(arm.settings["mini_batch"], int)
    assert arm.problems() == []


def test_arms_that_need_a_slot_of_their_own_stand_together_within_a_seed():
    arms = [
        {"name": name, "q": q, "v": 1, **({_DECAY: 0.5} if name in "bd" else {})}
        for name, q in zip("abcd", (1e-6, 1e-5, 1e-4, 1e-3), strict=True)
    ]
    plan = plan_trials(_study({"kind": "arms", "arms": arms}, seeds=2))
    assert [trial.key for trial in plan] == [f"{name}_s{seed}" for seed in (0, 1) for name in "acbd"]


def test_a_name_and_its_dotted_key_are_one_setting():
    assert canonical({"actor_rollout_ref.actor.optim.lr": 1e-4}) == canonical({"lr": 1e-4}) == {"lr": 1e-4}
    with pytest.raises(ValueError, match="eps_low and clip set the same"):
        canonical({"clip": 0.2, "eps_low": 0.1})
    assert Arm(name="a", q=1e-6, v=1.0, settings={"clip": 0.2}).parameters == (
        Arm(name="a", q=1e-6, v=1.0, settings={"eps_high": 0.2, "eps_low": 0.2}).parameters
    )


@pytest.mark.parametrize("name", [name for name, short in SHORT_NAMES.items() if not short.words])
def test_a_short_names_range(name):
    short = SHORT_NAMES[name]
    assert value_problem(name, min(2, short.below / 2)) is None
    for value in (short.lowest - 1, short.below, "much", True, float("nan"), *([0.5] if short.whole else [])):
        assert value_problem(name, value)
    assert (value_problem(name, False) is None) == short.off == (name == "clip")
    assert bool(value_problem(name, short.lowest)) == short.above
    assert verl_keys(name) == short.keys


_TEXT = """name: s
steps: 2
space:
  kind: arms
  arms: [kpo-strong, {name: grpo, loss: grpo, temperature: 0.9}]
"""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lrr: [1e-4]", r":6: space.lrr: unknown key; did you mean 'lr'?"),
        ("lr: 1e-4", r":6: space.lr: must be a list, for example [0.0001]"),
        ("lr: []", r":6: space.lr: must not be empty"),
        ("lr: [1e-4, -1]", r":6: space.lr[1]: must be >= 0, got -1"),
        ("lr: [1e-4, 1e-4]", r":6: space.lr[1]: holds 0.0001 more than once"),
        ("mini_batch: [2.5]", r"space.mini_batch[0]: must be a whole number, got 2.5"),
        (f"{_DECAY}: [a]", f":6: space.{_DECAY}[0]: must be a number; verl's own is 0.01, got 'a'"),
        (f"{_DECAY}s: [0]", f"verl has no setting '{_DECAY}s'; did you mean '{_DECAY}'?"),
        ("actor.optim.lr: [1]", "did you mean 'actor_rollout_ref.actor.optim.lr'?"),
        ("temperature: [0.5]", "space.arms[1].temperature: the space sets it for every arm"),
        ("clip: [0.1]\n  eps_low: [0.2]", r":7: space.eps_low: eps_low and clip set the same: keep one of them"),
        ("eps_low: [0.1]", "arm grpo_eps_low0.1: eps_low: the arm's loss, clip_low, clip_high or advantage sets it"),
        ("samples_per_prompt: [1, 2]", "one sample a prompt leaves grpo nothing to compare it with"),
        ("algorithm.adv_estimator: [grpo]", "set advantage of an arm"),
        ("actor_rollout_ref.rollout.val_kwargs.temperature: [1]", "arms are judged alike"),
    ],
)
def test_what_is_refused(tmp_path, line, message):
    path = tmp_path / "s.yaml"
    path.write_text(f"{_TEXT}  {line}\n", encoding="utf-8")
    with pytest.raises(UserError) as refused:
        load_study(path)
    assert message in str(refused.value)


@pytest.mark.parametrize("key", sorted(RESERVED))
@pytest.mark.parametrize("kind", ["arms", "optuna"])
def test_reserved_keys_are_refused_with_the_way_to_do_it(key, kind):
    name = f"{key}x" if key.endswith(".") else key
    parameters = {"q": 1e-6, "v": {"low": 0.1, "high": 1}, name: 1}
    space = {"kind": "optuna", "trials": 2, "parameters": parameters} if kind == "optuna" else _SPACES["arms"]
    with pytest.raises(ValueError, match="iskpo-sweep sets") as refused:
        _study(space if kind == "optuna" else space | {name: [1]})
    assert RESERVED[key] in str(refused.value)


def test_an_override_that_verl_does_not_have_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"did you mean 'actor_rollout_ref\.actor\.optim\.lr'"):
        _study(_SPACES["grid"], overrides={"actor_rollout_ref.actor.optim.rl": 1e-4})


def test_a_replay_has_no_settings():
    space = _SPACES["grid"] | {"lr": [1e-4]}
    with pytest.raises(ValueError, match="a replay does not run verl: leave lr out"):
        Study.model_validate({"name": "s", "trial": {"kind": "replay", "traces": "x"}, "space": space})
