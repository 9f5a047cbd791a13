"""The mismatch between rollout and policy as a key of an arm: from its word to verl's weights, and back by the echo."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from verl import DataProto
from verl.trainer.ppo.rollout_corr_helper import compute_rollout_correction_and_add_to_batch

from iskpo.verl.composition import compose
from iskpo.verl.names import ROLLOUT_BOUNDS, ROLLOUT_BYPASS, ROLLOUT_WEIGHTS, echo
from sweep.arms.arm import Arm
from sweep.arms.verl_settings import IN_PLACE, SHORT_NAMES
from sweep.engine.settings import trial_overrides
from sweep.engine.trial_runner import TrialFailed, check_echo
from sweep.input.errors import UserError
from sweep.study.plan import TrialPlan
from sweep.study.study import load_study

_WORDS = SHORT_NAMES["rollout_correction"].words
_GIVEN = {False: "none", "token_tis": "weights", "sequence_tis": "weights", "icepop": "weights", "bypass": "bypass"}
_LOG_RATIOS = st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=6)


def _trial(word: str | bool) -> TrialPlan:
    arm = Arm(name="a", loss="grpo", settings={"rollout_correction": word})
    return TrialPlan(key="a_s0", arm=arm, seed=0)


def _overrides(word: str | bool) -> dict[str, Any]:
    return trial_overrides(trial=_trial(word), folder=Path("folder"))


def _by_hand(word: str, log_ratios: list[float]) -> list[float]:
    """The sources' weights of one sequence's tokens, pi / pi_rollout = exp(log ratio)."""
    ratios = [math.exp(value) for value in log_ratios]
    if word == "token_tis":
        return [min(ratio, 2.0) for ratio in ratios]
    if word == "sequence_tis":
        return [min(math.exp(max(-20.0, min(20.0, sum(log_ratios)))), 2.0)] * len(ratios)
    return [ratio if 0.5 <= ratio <= 5.0 else 0.0 for ratio in ratios]


@pytest.mark.parametrize("word", ["token_tis", "sequence_tis", "icepop"])
@settings(deadline=None, derandomize=True, max_examples=50)
@given(sequences=st.lists(_LOG_RATIOS, min_size=1, max_size=4))
def test_verl_weights_tokens_as_the_source_says(word: str, sequences: list[list[float]]) -> None:
    # verl divides by zero where no token of a step has any weight.
    sequences = [[0.0], *sequences]
    width = max(map(len, sequences))
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in sequences])
    rollout = torch.zeros(mask.shape, dtype=torch.float64)
    old = torch.tensor([row + [9.0] * (width - len(row)) for row in sequences], dtype=torch.float64)
    batch = DataProto.from_dict({"old_log_probs": old, "rollout_log_probs": rollout, "response_mask": mask})
    chosen = compose(_overrides(word)).algorithm.rollout_correction
    weighted, metrics = compute_rollout_correction_and_add_to_batch(batch, chosen)
    for row, weights in zip(sequences, weighted.batch["rollout_is_weights"], strict=True):
        assert weights[: len(row)].tolist() == pytest.approx(_by_hand(word, row), rel=1e-12)
    # No token leaves the objective for it, and the mismatch itself is measured with every word.
    assert torch.equal(weighted.batch["response_mask"], mask)
    tokens = [value for row in sequences for value in row]
    k3 = sum(math.exp(value) - value - 1 for value in tokens) / len(tokens)
    assert metrics["rollout_corr/k3_kl"] == pytest.approx(k3, rel=1e-6, abs=1e-12)


def test_a_warm_slot_takes_each_word_over_and_goes_back() -> None:
    """The trainer merges each trial's configuration into the last one's, and verl reads it at every step."""
    words = [*_WORDS, *reversed(_WORDS)]
    warm = compose(_overrides(False))
    for word in words:
        cold = compose(_overrides(word))
        warm.merge_with(cold)
        assert OmegaConf.to_container(warm.algorithm) == OmegaConf.to_container(cold.algorithm)
        assert _trial(word).arm.slot_settings == {}
    assert {ROLLOUT_WEIGHTS, ROLLOUT_BOUNDS, ROLLOUT_BYPASS} <= IN_PLACE
    # The bounds of the first and the last word that has none are verl's own.
    assert compose({}).algorithm.rollout_correction.rollout_is_threshold == 2.0


@pytest.mark.parametrize("word", _WORDS)
def test_what_the_loss_was_given_is_compared_with_the_plan(word: str | bool) -> None:
    trial, planned = _trial(word), _overrides(word)
    ran = {key: value for key, value in planned.items() if key.startswith("algorithm.rollout_correction")}
    echoed = {"loss/mode/vanilla": 1.0, "loss/clip_low": 0.2, "loss/clip_high": 0.2}
    echoed |= {name: number for key, value in ran.items() for name, number in echo(key, value).items()}
    given = {f"loss/rollout_correction/{_GIVEN[word]}": 1.0}
    check_echo(trial=trial, metrics=echoed | given, planned=planned)
    for other in {"none", "weights", "bypass"} - {_GIVEN[word]}:
        with pytest.raises(TrialFailed, match=f"rollout correction = {_GIVEN[word]}, the loss was given {other}"):
            check_echo(trial=trial, metrics=echoed | {f"loss/rollout_correction/{other}": 1.0}, planned=planned)
    with pytest.raises(TrialFailed, match="the loss was given nothing"):
        check_echo(trial=trial, metrics=echoed, planned=planned)
    # Both policies may agree to the last digit on a whole micro-batch; they never differ where they are one.
    both = {"loss/rollout_correction/none": 1.0, "loss/rollout_correction/bypass": 1.0}
    if word == "bypass":
        with pytest.raises(TrialFailed, match="was given bypass, none"):
            check_echo(trial=trial, metrics=echoed | both, planned=planned)
    elif word is False:
        check_echo(trial=trial, metrics=echoed | both, planned=planned)
    for key, value in ran.items():
        changed = {name: number for name, number in echoed.items() if not name.startswith(f"setting/{key}")}
        other = 7 if isinstance(value, float) else "other"
        with pytest.raises(TrialFailed, match=f"the plan says {key} = "):
            check_echo(trial=trial, metrics=changed | given | echo(key, other), planned=planned)


def test_a_plan_without_the_key_wants_no_correction() -> None:
    trial = TrialPlan(key="k", arm=Arm(name="a", loss="grpo"), seed=0)
    metrics = {"loss/mode/vanilla": 1.0, "loss/rollout_correction/weights": 1.0}
    with pytest.raises(TrialFailed, match="rollout correction = none, the loss was given weights"):
        check_echo(trial=trial, metrics=metrics, planned={ROLLOUT_BYPASS: False, ROLLOUT_WEIGHTS: None})


_STUDY = "name: n\nspace:\n  kind: arms\n  arms:\n    - {name: a, loss: grpo, KEYS}\nsteps: 1\n"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("rollout_correction: token_ti", r"must be a known word \(did you mean 'token_tis'\?\), got 'token_ti'"),
        ("rollout_correction: 2", r"must be a known word \(valid: false, token_tis, .*bypass\), got 2"),
        ("rollout_correction: 0", r"must be a known word \(valid: false, .*\), got 0"),
        ("rollout_correction: true", r"must be a known word \(valid: false, .*\), got True"),
        ("rollout_corection: bypass", "unknown key; did you mean 'rollout_correction'"),
        (f"rollout_correction: bypass, {ROLLOUT_WEIGHTS}: token", "set the same: keep one of them"),
    ],
)
def test_what_is_no_word_is_refused_with_the_nearest(write_study: Any, keys: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_study(write_study(_STUDY.replace("KEYS", keys)))


def test_other_bounds_are_set_by_verls_keys(write_study: Any) -> None:
    keys = f"{ROLLOUT_WEIGHTS}: token, {ROLLOUT_BOUNDS}: 0.2_3.0"
    (arm,) = load_study(write_study(_STUDY.replace("KEYS", keys))).arms
    assert arm.verl_settings() == {ROLLOUT_WEIGHTS: "token", ROLLOUT_BOUNDS: "0.2_3.0"}
    assert arm.slot_settings == {}


def test_the_word_is_an_axis_too(write_study: Any) -> None:
    text = _STUDY.replace(", KEYS", "").replace("steps", "  rollout_correction: [false, icepop]\nsteps")
    study = load_study(write_study(text))
    assert [arm.name for arm in study.arms] == ["a_rollout_correctionfalse", "a_rollout_correction-icepop"]
