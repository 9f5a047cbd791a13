"""The loss inside verl: the plain objective's number and gradient, exact statistics, strict configuration."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from verl.trainer.ppo.core_algos import get_policy_loss_fn
from verl.utils.config import omega_conf_to_dataclass

from iskpo.closed_form import realised_gain
from iskpo.filter import filter_log_ratios
from iskpo.objective import kalman_clipped_objective
from iskpo.reference.reference_causal import causal_reference_filter
from iskpo.settings import Estimator, FilterSettings
from iskpo.verl import loss as verl_loss
from iskpo.verl import recorder
from iskpo.verl.composition import compose
from iskpo.verl.config import KalmanPolicyLossConfig
from iskpo.verl.names import LOSS_MODE, TARGET


def _batch(rows: int, tokens: int, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    old = -torch.rand(rows, tokens, generator=generator)
    lengths = torch.randint(1, tokens + 1, (rows,), generator=generator)
    return {
        "old_log_prob": old,
        "log_prob": old + 0.3 * torch.randn(rows, tokens, generator=generator),
        "advantages": torch.randn(rows, 1, generator=generator).expand(rows, tokens),
        "response_mask": torch.arange(tokens) < lengths[:, None],
    }


def _actor(policy_loss: KalmanPolicyLossConfig, batch_size: int) -> SimpleNamespace:
    return SimpleNamespace(
        policy_loss=policy_loss,
        clip_ratio_low=0.0003,
        clip_ratio_high=0.0004,
        global_batch_info={"dp_size": 1, "global_batch_size": batch_size},
    )


def test_loss_is_the_sequence_mean_of_token_means_of_the_objective() -> None:
    batch = _batch(6, 11, seed=0)
    parameters = KalmanPolicyLossConfig(q=1e-2, v=0.1, kappa=1.5)
    batch["log_prob"].requires_grad_()
    loss, metrics = get_policy_loss_fn(LOSS_MODE)(
        **batch, loss_agg_mode="seq-mean-token-mean", config=_actor(parameters, 6)
    )
    loss.backward()
    gradient = batch["log_prob"].grad
    again = batch["log_prob"].detach().clone().requires_grad_()
    plain = kalman_clipped_objective(
        log_prob=again,
        old_log_prob=batch["old_log_prob"],
        advantages=batch["advantages"],
        mask=batch["response_mask"],
        settings=FilterSettings(q=1e-2, v=0.1, kappa=1.5),
        eps_low=0.0003,
        eps_high=0.0004,
    ).token_loss
    mask = batch["response_mask"]
    expected = sum(plain[row][mask[row]].mean() for row in range(6)) / 6
    expected.backward()
    assert metrics == {}
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, again.grad)
    assert gradient is not None
    assert gradient[~mask].abs().max() == 0
    recorder.collect()


def test_a_weight_of_the_rollout_correction_that_is_no_number_is_an_error_with_row_and_token() -> None:
    batch = _batch(4, 9, seed=1)
    batch["response_mask"] = torch.arange(9) < torch.tensor([9, 7, 9, 5])[:, None]

    def loss(weights: torch.Tensor) -> torch.Tensor:
        actor = _actor(KalmanPolicyLossConfig(q=1e-2, v=0.1), 4)
        return get_policy_loss_fn(LOSS_MODE)(
            **batch, loss_agg_mode="seq-mean-token-mean", config=actor, rollout_is_weights=weights
        )[0]

    right = torch.linspace(0.5, 1.5, 36).reshape(4, 9)
    expected = loss(right)
    padded = torch.where(batch["response_mask"], right, math.nan)
    assert loss(padded) == expected
    recorder.collect()
    for bad in (math.nan, math.inf, -math.inf):
        wrong = right.clone()
        wrong[1, 3] = wrong[2, 8] = bad
        with pytest.raises(
            verl_loss.NonFiniteWeightError, match=r"^rollout_is_weights must .* row 1, token 3 \(2 such"
        ):
            loss(wrong)
    assert recorder.collect().innovations.tokens == 0


@settings(max_examples=20, deadline=None)
@given(cuts=st.sets(st.integers(1, 15), max_size=5), seed=st.integers(0, 50))
def test_step_metrics_do_not_depend_on_micro_batches(cuts: set[int], seed: int) -> None:
    batch = _batch(16, 9, seed)
    parameters = KalmanPolicyLossConfig(q=1e-3, v=1e-2, kappa=1.0)
    edges = [0, *sorted(cuts), 16]

    def metrics_of(pieces: list[tuple[int, int]]) -> dict[str, float]:
        recorder.collect()
        for start, end in pieces:
            verl_loss.kalman_policy_loss(
                **{name: value[start:end] for name, value in batch.items()}, config=_actor(parameters, 16)
            )
        return recorder.collect().as_metrics()

    whole = metrics_of([(0, 16)])
    split = metrics_of(list(itertools.pairwise(edges)))
    assert split == pytest.approx(whole, rel=1e-9, abs=1e-12)
    assert whole["kalman/q"] == 1e-3
    assert whole["kalman/v"] == 1e-2
    assert whole["kalman/kappa"] == 1.0
    assert whole["kalman/rho0"] == 0.0
    assert {name for name in whole if name.startswith("kalman/") and name.count("/") > 1} == {
        "kalman/estimator/clip", "kalman/gradient/straight_through", "kalman/numerics/exact",
    }  # fmt: skip
    histogram = {name: count for name, count in whole.items() if name.startswith("innovation_histogram/")}
    assert {name: split[name] for name in histogram} == histogram
    assert sum(histogram.values()) == whole["kalman/tokens"]
    lengths = batch["response_mask"].sum(1).tolist()
    assert whole["kalman/gain_mean"] == pytest.approx(realised_gain(lengths=lengths, q=1e-3, v=1e-2), rel=1e-6)


def test_the_published_numerics_are_labelled_in_the_metrics() -> None:
    recorder.collect()
    parameters = KalmanPolicyLossConfig(q=5e-2, numerics="public-cumsum-fp32")
    verl_loss.kalman_policy_loss(**_batch(2, 600, seed=1), config=_actor(parameters, 2))
    metrics = recorder.collect().as_metrics()
    assert metrics["kalman/numerics/public-cumsum-fp32"] == 1.0
    assert metrics["kalman/nonfinite_tokens"] > 0


@pytest.mark.parametrize("estimator", ["clip", "saturated", "huber", "wolf", "inflation", "ema"])
def test_every_estimator_reports_itself_and_what_it_did(estimator: Estimator) -> None:
    batch, kappa = _batch(8, 40, seed=2), math.inf if estimator == "ema" else 1.5
    recorder.collect()
    parameters = KalmanPolicyLossConfig(q=1e-3, v=1e-2, kappa=kappa, p0=1e-2, estimator=estimator)
    verl_loss.kalman_policy_loss(**batch, config=_actor(parameters, 8))
    metrics = recorder.collect().as_metrics()
    mask = batch["response_mask"]
    z = torch.where(mask, batch["log_prob"] - batch["old_log_prob"], 0)
    filtered = filter_log_ratios(z, mask, q=1e-3, v=1e-2, kappa=kappa, p0=1e-2, estimator=estimator)
    assert metrics[f"kalman/estimator/{estimator}"] == 1
    assert metrics["kalman/gain_mean"] == pytest.approx(filtered.gain[mask].double().mean().item(), rel=1e-9)
    assert metrics["kalman/clip_fraction"] == int(filtered.clipped.sum()) / int(mask.sum())
    assert (metrics["kalman/clip_fraction"] > 0.1) == (estimator != "ema")
    thresholds = {"saturated": 0.15, "wolf": 0.15, "ema": None}
    expected = thresholds.get(estimator, 1.5 * filtered.sigma[mask].double().mean().item())
    assert metrics.get("kalman/threshold") == (None if expected is None else pytest.approx(expected, rel=1e-9))


def test_two_parameter_sets_in_one_step_are_an_error() -> None:
    recorder.collect()
    for q in (1e-6, 1e-2):
        verl_loss.kalman_policy_loss(**_batch(2, 4, seed=1), config=_actor(KalmanPolicyLossConfig(q=q), 2))
    with pytest.raises(RuntimeError, match="several parameter sets"):
        recorder.collect().as_metrics()


def test_verl_builds_the_typed_configuration_from_overrides() -> None:
    prefix = "actor_rollout_ref.actor.policy_loss"
    config = compose({f"{prefix}._target_": TARGET, f"+{prefix}.q": 1e-2, f"+{prefix}.kappa": math.inf})
    built = omega_conf_to_dataclass(config.actor_rollout_ref.actor.policy_loss)
    assert isinstance(built, KalmanPolicyLossConfig)
    assert (built.q, built.v, built.kappa) == (1e-2, 1.0, math.inf)


def test_verl_refuses_a_setting_it_does_not_have() -> None:
    with pytest.raises(KeyError, match=r"actor_rollout_ref\.actor\.optim\.learning_rate"):
        compose({"actor_rollout_ref.actor.optim.learning_rate": 1e-6})


@pytest.mark.parametrize(
    "values",
    [{"q": -1.0}, {"v": 0.0}, {"kappa": 0.0}, {"kappa": math.nan}, {"p0": -1.0}, {"q": math.nan}, {"rho0": math.inf},
     {"gradient": "none"}, {"numerics": "fast"}, {"estimator": "median"},
     {"estimator": "ema", "kappa": 1.0}, {"numerics": "public-cumsum-fp32", "kappa": 1.0}],
)  # fmt: skip
def test_impossible_parameters_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        KalmanPolicyLossConfig(**values)


def _loss(parameters: KalmanPolicyLossConfig, batch: dict[str, torch.Tensor], **bounds: float) -> torch.Tensor:
    actor = _actor(parameters, len(batch["log_prob"]))
    vars(actor).update(bounds)
    return verl_loss.kalman_policy_loss(**batch, config=actor)[0]


def test_bounds_of_0_are_the_unclipped_objective() -> None:
    recorder.begin_trial()
    batch = _batch(6, 11, seed=3)
    parameters = KalmanPolicyLossConfig(q=1e-2, v=0.1)
    loss = _loss(parameters, batch, clip_ratio_low=0.0, clip_ratio_high=0.0)
    metrics = recorder.collect().as_metrics()
    mask = batch["response_mask"]
    ratio = filter_log_ratios(batch["log_prob"] - batch["old_log_prob"], mask, q=1e-2, v=0.1).rho.exp()
    rows = [(-batch["advantages"] * ratio)[row][mask[row]].mean() for row in range(6)]
    torch.testing.assert_close(loss, sum(rows) / 6)
    assert metrics["actor/ratio_clip_fraction"] == 0.0
    assert "kalman/outside_share" not in metrics


def test_the_bounds_of_a_step_follow_from_the_step_before_and_are_reported() -> None:
    recorder.begin_trial()
    parameters = KalmanPolicyLossConfig(q=1e-2, v=1.0, outside_share=0.25)
    shares = []
    for seed in (1, 2, 3):
        batch = _batch(64, 40, seed)
        # In micro-batches: the bounds may not depend on them.
        for rows in (slice(0, 5), slice(5, 64)):
            _loss(parameters, {name: value[rows] for name, value in batch.items()})
        step = recorder.collect()
        recorder.end_step(step)
        shares.append(step.as_metrics())
    assert (shares[0]["loss/eps_low"], shares[0]["loss/eps_high"]) == (0.0003, 0.0004)
    assert shares[0]["kalman/outside_share"] > 0.9
    # Neighbouring tokens resemble each other, so that a share of 1,300 is one of a few hundred.
    for metrics in shares[1:]:
        assert metrics["kalman/outside_share"] == pytest.approx(0.25, abs=0.07)
        assert metrics["loss/eps_low"] / metrics["loss/eps_high"] == pytest.approx(0.75)
    recorder.begin_trial()


@pytest.mark.parametrize(("estimator", "kappa"), [("batch_mad", 1.5), ("batch_mean", 1.5), ("batch_quantile", 0.8)])
def test_the_threshold_of_a_step_follows_from_the_step_before_and_a_checkpoint_has_it(
    estimator: Estimator, kappa: float
) -> None:
    recorder.begin_trial()
    parameters = KalmanPolicyLossConfig(q=1e-2, v=1.0, kappa=kappa, estimator=estimator)
    _loss(parameters, _batch(32, 40, seed=1))
    first = recorder.collect()
    recorder.end_step(first)
    assert first.as_metrics()["kalman/clip_fraction"] == 0.0
    assert "kalman/kappa_used" not in first.as_metrics()
    _loss(parameters, _batch(32, 40, seed=2))
    second = recorder.collect().as_metrics()
    assert 0.05 < second["kalman/clip_fraction"] < 0.5
    # The plan's settings are what is echoed, and the threshold that came of them beside it.
    assert second["kalman/kappa"] == kappa
    assert second[f"kalman/estimator/{estimator}"] == 1.0
    assert second["kalman/threshold"] == pytest.approx(second["kalman/kappa_used"] * 1.04, rel=0.02)

    recorder.begin_trial(recorder.StepRecord.from_json(first.as_json()))
    _loss(parameters, _batch(32, 40, seed=2))
    assert recorder.collect().as_metrics() == second
    recorder.begin_trial()


@pytest.mark.parametrize("estimator", ["mad", "ewma", "quantile", "adaptive"])
def test_a_threshold_from_the_sequence_is_reported_as_it_was(estimator: Estimator) -> None:
    recorder.begin_trial()
    batch, kappa = _batch(16, 40, seed=4), 0.8
    parameters = KalmanPolicyLossConfig(q=1e-2, v=1.0, kappa=kappa, estimator=estimator)
    for rows in (slice(0, 3), slice(3, 16)):
        _loss(parameters, {name: value[rows] for name, value in batch.items()})
    metrics = recorder.collect().as_metrics()
    reference = causal_reference_filter(
        (batch["log_prob"] - batch["old_log_prob"]).numpy(), batch["response_mask"].numpy(), q=1e-2, v=1.0,
        kappa=kappa, estimator=estimator,
    )  # fmt: skip
    known = batch["response_mask"].numpy() & np.isfinite(reference.threshold)
    assert metrics["kalman/threshold"] == pytest.approx(reference.threshold[known].mean(), rel=1e-5)
    assert metrics["kalman/clipped_tokens"] == reference.clipped.sum()
    assert metrics["kalman/clip_fraction"] > 0
