"""What a study may register, and what is said of a registration that cannot be kept."""

from pathlib import Path

import pytest

from sweep.input.errors import UserError
from sweep.study.registered import Registered
from sweep.study.study import load_study

_STUDY = """\
name: x
profile: tiny
steps: 2
space:
  kind: arms
  arms: [kpo-strong, kpo-weak, is-kpo-weak]
registered:
"""


def _load(folder: Path, block: str) -> Registered | None:
    path = folder / "study.yaml"
    path.write_text(_STUDY + block)
    return load_study(path).registered


def test_a_registration_is_read(tmp_path: Path) -> None:
    block = """\
  comparisons: [{arm: kpo-strong, reference: kpo-weak}]
  recovery: {arm: is-kpo-weak, lower: kpo-weak, upper: kpo-strong}
  gain_bound: 0.01
  clip_bound: 1e-3
  margin: 0.02
"""
    plan = _load(tmp_path, block)
    assert plan is not None
    assert [(pair.arm, pair.reference) for pair in plan.comparisons] == [("kpo-strong", "kpo-weak")]
    assert plan.recovery is not None
    assert plan.recovery.at_least == 0.5
    assert (plan.gain_bound, plan.clip_bound, plan.margin) == (0.01, 1e-3, 0.02)


@pytest.mark.parametrize(
    ("block", "line", "said"),
    [
        ("  comparisons: [{arm: kpo-strnog, reference: kpo-weak}]\n", 8, "did you mean 'kpo-strong'?"),
        ("  comparisons:\n    - {arm: kpo-weak, reference: kpo-weak}\n", 9, "with itself"),
        (
            "  comparisons:\n    - {arm: kpo-weak, reference: kpo-strong}\n"
            "    - {arm: kpo-strong, reference: kpo-weak}\n",
            10,
            "comparisons[0]; keep one",
        ),
        ("  recovery: {arm: kpo-weak, lower: kpo-weak, upper: kpo-strong}\n", 8, "three different arms"),
        ("  recovery: {arm: is-kpo-weak, lower: kpo-weak, upper: kpo-strong, at_least: 1.5}\n", 8, "at_least"),
        ("  gain_bond: 0.01\n", 8, "did you mean 'gain_bound'?"),
        ("  clip_bound: 0\n", 8, "clip_bound"),
    ],
    ids=["unknown arm", "itself", "twice", "recovery of an end", "a share", "unknown key", "bound of zero"],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, block: str, line: int, said: str) -> None:
    with pytest.raises(UserError) as caught:
        _load(tmp_path, block)
    message = str(caught.value)
    assert f"study.yaml:{line}: registered" in message
    assert said in message


def test_arms_that_are_chosen_during_the_run_cannot_be_named() -> None:
    plan = Registered.model_validate({"comparisons": [{"arm": "a", "reference": "b"}], "gain_bound": 0.01})
    ((place, message),) = plan.problems(arms=None)
    assert place == ("comparisons",)
    assert "chosen while the study runs" in message
    assert not Registered(gain_bound=0.01, clip_bound=1e-3).problems(arms=None)
