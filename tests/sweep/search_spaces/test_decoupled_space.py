"""Gain times threshold: what was asked for comes out, and what cannot be is refused by name."""

import math
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iskpo.closed_form import gain_table
from iskpo.settings import THRESHOLD_FROM_DATA, Estimator
from sweep.input.errors import UserError
from sweep.search_spaces import ArmDefaults, Decoupled
from sweep.search_spaces.decoupled import GAIN_RANGE, process_and_measurement_noise
from sweep.study.study import load_study

_STUDY = "name: d\nspace:\n  kind: decoupled\n  gain: [1e-3, 0.1]\n  threshold: [0.1, .inf]\nsteps: 1\n"


def _logs(low: float, high: float):
    return st.floats(math.log(low), math.log(high)).map(math.exp)


@given(
    gain=st.one_of(_logs(1e-12, 0.5), _logs(1e-12, 0.5).map(lambda rest: min(1 - rest, GAIN_RANGE[1]))),
    threshold=_logs(1e-12, 1e6),
    kappa=_logs(1e-6, 1e6),
    estimator=st.sampled_from([name for name in get_args(Estimator) if name not in ("ema", *THRESHOLD_FROM_DATA)]),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_predicted_gain_and_threshold_are_what_was_asked_for(gain, threshold, kappa, estimator):
    gain, threshold, kappa = max(gain, 1e-12), min(max(threshold, 1e-12), 1e6), min(max(kappa, 1e-6), 1e6)
    space = Decoupled.model_validate({"gain": [gain], "threshold": [threshold], "kappa": [kappa]})
    (arm,) = space.to_arms(defaults=ArmDefaults(estimator=estimator))
    assert arm.predicted_gain == pytest.approx(gain, rel=1e-9, abs=0)
    assert arm.predicted_threshold == pytest.approx(threshold, rel=1e-9, abs=0)
    assert (arm.kappa, arm.estimator) == (kappa, estimator)


@given(gain=_logs(1e-9, 0.999))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_an_unclipped_arm_has_its_gain_and_no_threshold(gain):
    (arm,) = Decoupled.model_validate({"gain": [gain], "threshold": [math.inf]}).to_arms(defaults=ArmDefaults())
    assert arm.predicted_gain == pytest.approx(gain, rel=1e-9)
    assert math.isinf(arm.predicted_threshold)
    assert math.isinf(arm.kappa)


def test_gains_of_the_filter_itself_tend_to_the_gain_asked_for():
    q, v = process_and_measurement_noise(gain=0.02, threshold=0.3, kappa=3.0, estimator="clip")
    assert gain_table(q=q, v=v, length=2000)[-1] == pytest.approx(0.02, rel=1e-9)


def test_kappa_makes_no_difference_to_an_arm_that_starts_at_zero_which_is_why_several_are_refused(write_study):
    tables = []
    for kappa in (1.0, 5.0):
        q, v = process_and_measurement_noise(gain=0.02, threshold=0.3, kappa=kappa, estimator="clip")
        tables.append((gain_table(q=q, v=v, length=300), kappa * math.sqrt(v)))
    assert tables[0][0] == pytest.approx(tables[1][0], rel=1e-12)
    assert tables[0][1] == pytest.approx(tables[1][1], rel=1e-12)
    text = _STUDY.replace("  threshold: [0.1, .inf]", "  threshold: [0.1]\n  kappa: [1, 3]")
    with pytest.raises(UserError, match=r"study.yaml:6: space.kappa: with p0 = 0 .* every kappa gives the same arm"):
        load_study(write_study(text))
    arms = load_study(write_study(text + "p0: 0.5\n")).arms
    assert [arm.name for arm in arms][:2] == ["gain0.001_threshold0.1_k1", "gain0.001_threshold0.1_k3"]


def test_arms_are_named_by_what_was_asked_for_in_nested_order(write_study):
    study = load_study(write_study(_STUDY))
    names = ["gain0.001_threshold0.1", "gain0.001_unclipped", "gain0.1_threshold0.1", "gain0.1_unclipped"]
    assert [arm.name for arm in study.arms] == names
    assert study.space.size() == 4


def test_a_range_is_even_in_logarithms_and_its_values_are_as_short_as_their_names(write_study):
    text = _STUDY.replace("[1e-3, 0.1]", "{low: 1e-4, high: 0.3, count: 4}")
    study = load_study(write_study(text))
    assert study.space.gain == (1e-4, 0.00144, 0.0208, 0.3)
    assert [arm.name for arm in study.arms][2] == "gain0.00144_threshold0.1"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[1e-3, 0.1]", "[1]", r"space.gain\[0\]: must lie between 1e-12 and 1 - 1e-12, got 1"),
        ("[1e-3, 0.1]", "[0]", r"space.gain\[0\]: must lie between"),
        ("[1e-3, 0.1]", "[.nan]", r"space.gain\[0\]: must lie between"),
        ("[1e-3, 0.1]", "{low: 0.1, high: 0.01, count: 3}", r"space.gain: low = 0.1 must be below high = 0.01"),
        ("[1e-3, 0.1]", "{low: 0.1, high: 0.101, count: 9}", r"space.gain: count = 9 is too many"),
        ("[1e-3, 0.1]", "{low: 0.1, high: 0.2}", r"space.gain.count: this key is missing"),
        ("[1e-3, 0.1]", "{low: 0.1, high: 0.2, cont: 3}", r"space.gain.cont: unknown key; did you mean 'count'"),
        ("[0.1, .inf]", "[0]", r"space.threshold\[0\]: must lie between 1e-12 and 1e\+06, or .inf for no clipping"),
        ("[0.1, .inf]", "0.1", r"space.threshold: must be a list"),
        ("steps: 1", "steps: 1\nestimator: ema", r"space.threshold\[0\]: the study's estimator ema has no threshold"),
        ("steps: 1", "steps: 1\nestimator: huber", r"space.threshold\[1\]: the study's estimator huber needs a finite"),
        ("steps: 1", "steps: 1\nnumerics: public-cumsum-fp32", r"space.threshold\[0\]: .* cannot clip"),
        ("steps: 1", "steps: 1\nnumerics: public-cumsum-fp32\nestimator: ema", r"space.threshold: .* no estimator ema"),
        ("steps: 1", "steps: 1\np0: 1", r"space.threshold\[1\]: without clipping the scale of V is open"),
    ],
)
def test_what_cannot_be_is_refused_with_its_key(write_study, old, new, message):
    with pytest.raises(UserError, match=message):
        load_study(write_study(_STUDY, replace={old: new}))
