import pytest
from pydantic import Field

from sweep.arms.arm import Arm
from sweep.arms.verl_settings import value_text
from sweep.input.errors import UserError
from sweep.search_spaces import ArmDefaults, Grid, Registry, SearchSpace, register
from sweep.study.study import load_study


def test_grid_nests_q_then_v_then_kappa():
    grid = Grid.model_validate({"q": [1e-6, 1e-2], "v": [1], "kappa": [float("inf"), 3]})
    names = [arm.name for arm in grid.to_arms(defaults=ArmDefaults())]
    assert names == ["Q1e-06_V1_kinf", "Q1e-06_V1_k3", "Q0.01_V1_kinf", "Q0.01_V1_k3"]
    assert grid.size() == len(names)


def test_value_text_is_exact_and_short():
    values = [1e-6, 1.0, 0.25, float("inf"), 0.1 + 0.2, 1e22]
    assert [value_text(value) for value in values] == ["1e-06", "1", "0.25", "inf", "0.30000000000000004", "1e+22"]
    assert [float(value_text(value)) for value in values] == values


def test_grid_arms_carry_the_defaults():
    grid = Grid.model_validate({"q": [1e-6], "v": [1.0], "kappa": [3.0]})
    (arm,) = grid.to_arms(defaults=ArmDefaults(p0=0.5, rho0=0.1, gradient="through", estimator="wolf"))
    rest = {"p0": 0.5, "rho0": 0.1, "gradient": "through", "estimator": "wolf"}
    assert arm == Arm(name="Q1e-06_V1_k3", q=1e-6, v=1.0, kappa=3.0, **rest)


def test_a_grid_can_have_estimators_and_numerics_as_factors_and_names_them():
    factors = {"estimator": ["clip", "huber"], "numerics": ["exact"]}
    grid = Grid.model_validate({"q": [1e-6], "v": [1.0], "kappa": [3.0, 1.0], **factors})
    arms = grid.to_arms(defaults=ArmDefaults(estimator="wolf"))
    assert [arm.name for arm in arms] == [
        "Q1e-06_V1_k3_clip_exact",
        "Q1e-06_V1_k3_huber_exact",
        "Q1e-06_V1_k1_clip_exact",
        "Q1e-06_V1_k1_huber_exact",
    ]
    assert [arm.estimator for arm in arms] == ["clip", "huber"] * 2
    assert grid.size() == 4


def test_a_space_of_ones_own_can_be_registered_and_used_in_a_study(write_study, monkeypatch):
    monkeypatch.setattr(Registry, "_spaces", dict(Registry._spaces))

    @register("fixed-gain")
    class FixedGain(SearchSpace):
        kind: str = "fixed-gain"
        v: float = Field(gt=0)

        def size(self):
            return 1

        def to_arms(self, *, defaults):
            return [Arm(name="only", q=1e-4 * self.v, v=self.v, kappa=3.0)]

    text = "name: own\nspace:\n  kind: fixed-gain\n  v: 0.01\nsteps: 1\n"
    assert [arm.name for arm in load_study(write_study(text)).arms] == ["only"]
    with pytest.raises(UserError, match=r"study.yaml:4: space.w: unknown key; valid: kind, v"):
        load_study(write_study(text.replace("  v: 0.01", "  w: 0.01")))
    with pytest.raises(ValueError, match="belongs to FixedGain already"):
        register("fixed-gain")(Grid)


@pytest.mark.parametrize(
    "change",
    [
        {"q": -1.0},
        {"q": float("nan")},
        {"v": 0.0},
        {"kappa": 0.0},
        {"kappa": float("nan")},
        {"p0": -1.0},
        {"rho0": float("inf")},
        {"gradient": "none"},
        {"numerics": "fp16"},
        {"estimator": "median"},
    ],
)
def test_an_arm_that_no_filter_can_run_cannot_be_made(change):
    with pytest.raises(ValueError, match=f"arm x: {next(iter(change))} must be"):
        Arm(**{"name": "x", "q": 1e-6, "v": 1.0, **change})
