"""The objective against a plain restatement of its formula, and what may not influence it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iskpo import (
    FilterSettings,
    NonFiniteAdvantageError,
    ObjectiveResult,
    filter_log_ratios,
    kalman_clipped_objective,
    reference_filter,
)


def _batch(seed: int, rows: int = 4, tokens: int = 10, size: float = 0.3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    old = -torch.rand(rows, tokens, generator=generator, dtype=torch.float64)
    noise = size * torch.randn(rows, tokens, generator=generator, dtype=torch.float64)
    return {
        "log_prob": (old + noise).requires_grad_(),
        "old_log_prob": old,
        "advantages": torch.randn(rows, tokens, generator=generator, dtype=torch.float64),
        "mask": torch.rand(rows, tokens, generator=generator) < 0.7,
    }


def _sequence_mean_token_mean(result: ObjectiveResult, mask: torch.Tensor) -> torch.Tensor:
    rows = [row for row in range(len(mask)) if mask[row].any()]
    return torch.stack([result.token_loss[row][mask[row]].mean() for row in rows]).mean()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), kappa=st.sampled_from([0.5, 3.0, math.inf]), clip=st.booleans())
def test_straight_through_loss_and_gradient_are_those_of_the_formula(seed: int, kappa: float, clip: bool) -> None:
    batch = _batch(seed)
    settings = FilterSettings(q=1e-2, v=0.1, kappa=kappa)
    result = kalman_clipped_objective(**batch, settings=settings, eps_low=0.02, eps_high=0.03, clip=clip)
    (gradient,) = torch.autograd.grad(result.token_loss.sum(), batch["log_prob"])

    z = (batch["log_prob"] - batch["old_log_prob"]).detach()
    ratio = torch.from_numpy(reference_filter(z, batch["mask"], q=1e-2, v=0.1, kappa=kappa).rho).exp()
    mask, advantage = batch["mask"], batch["advantages"]
    unclipped, bounded = -advantage * ratio, -advantage * ratio.clamp(0.98, 1.03)
    loss = torch.maximum(unclipped, bounded) if clip else unclipped
    # d r / d log pi = r, and the clipped branch is flat.
    flat = (bounded > unclipped) if clip else torch.zeros_like(mask)
    torch.testing.assert_close(result.token_loss, torch.where(mask, loss, 0))
    torch.testing.assert_close(gradient, torch.where(mask & ~flat, -advantage * ratio, 0))
    torch.testing.assert_close(result.ratio, ratio)


def test_defaults_are_those_of_kpo() -> None:
    batch = _batch(1)
    defaults = kalman_clipped_objective(**batch, settings=FilterSettings(q=1e-6, v=1.0))
    spelled_out = kalman_clipped_objective(
        **batch,
        settings=FilterSettings(
            q=1e-6, v=1.0, kappa=math.inf, p0=0.0, rho0=0.0, gradient="straight_through", numerics="exact"
        ),
        eps_low=0.0003,
        eps_high=0.0004,
        clip=True,
    )
    assert torch.equal(defaults.token_loss, spelled_out.token_loss)


@pytest.mark.parametrize("kappa", [0.7, math.inf])
def test_gradient_through_the_filter_reaches_earlier_tokens(kappa: float) -> None:
    batch = _batch(3)
    log_prob = batch.pop("log_prob").detach()

    def loss(x: torch.Tensor) -> torch.Tensor:
        settings = FilterSettings(q=1.0, v=1.0, kappa=kappa, gradient="through")
        return kalman_clipped_objective(log_prob=x, **batch, settings=settings, clip=False).token_loss

    assert torch.autograd.gradcheck(loss, (log_prob.clone().requires_grad_(),))
    batch["mask"] = torch.ones_like(batch["mask"])
    (gradient,) = torch.autograd.grad(loss(log_prob.requires_grad_())[:, -1].sum(), log_prob)
    assert (gradient[:, 0] != 0).any()


def test_through_has_the_same_loss_as_straight_through() -> None:
    batch = _batch(4)
    losses = [
        kalman_clipped_objective(**batch, settings=FilterSettings(q=1e-2, v=1.0, kappa=1.0, gradient=name)).token_loss
        for name in ("straight_through", "through")
    ]
    torch.testing.assert_close(losses[0], losses[1])


@pytest.mark.parametrize("gradient", ["straight_through", "through"])
@pytest.mark.parametrize("numerics", ["exact", "public-cumsum-fp32"])
@pytest.mark.parametrize("where", ["log_prob", "old_log_prob", "advantages"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_padding_matters_neither_to_loss_nor_to_gradient(
    gradient: str, numerics: str, where: str, value: float
) -> None:
    def run(poison: bool) -> tuple[torch.Tensor, torch.Tensor]:
        batch = _batch(5)
        if poison:
            batch[where] = torch.where(batch["mask"], batch[where], value).detach()
            batch["log_prob"] = batch["log_prob"].detach().requires_grad_()
        settings = FilterSettings(q=1e-2, v=1.0, gradient=gradient, numerics=numerics)
        result = kalman_clipped_objective(**batch, settings=settings)
        assert not result.token_loss[~batch["mask"]].any()
        (grad,) = torch.autograd.grad(result.token_loss.sum(), batch["log_prob"])
        assert not grad[~batch["mask"]].any()
        return result.token_loss, grad

    for clean, poisoned in zip(run(False), run(True), strict=True):
        assert torch.equal(clean, poisoned)


@pytest.mark.parametrize("gradient", ["straight_through", "through"])
@pytest.mark.parametrize(
    ("numerics", "estimator"), [("exact", "clip"), ("public-cumsum-fp32", "clip"), ("exact", "ema")]
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("clip", [True, False])
def test_a_bad_observed_advantage_is_reported_with_its_place(
    gradient: str, numerics: str, estimator: str, value: float, clip: bool
) -> None:
    batch = _batch(5)
    batch["mask"][2, 3:5] = batch["mask"][3, 1] = True
    batch["mask"][0, 4] = False
    batch["advantages"][[0, 2, 3], [4, 3, 1]] = value
    settings = FilterSettings(q=1e-2, v=1.0, gradient=gradient, numerics=numerics, estimator=estimator)
    with pytest.raises(NonFiniteAdvantageError, match=r"^advantages must .* row 2, token 3 \(2 such") as error:
        kalman_clipped_objective(**batch, settings=settings, clip=clip)
    assert (error.value.row, error.value.token) == (2, 3)


def test_advantages_of_any_finite_size_are_taken() -> None:
    batch = _batch(5)
    batch["advantages"][:] = torch.finfo(torch.float64).max
    kalman_clipped_objective(**batch, settings=FilterSettings(q=1e-2, v=1.0))


def test_on_policy_the_ratio_is_one_and_the_gradient_is_the_policy_gradient() -> None:
    batch = _batch(6, size=0.0)
    result = kalman_clipped_objective(**batch, settings=FilterSettings(q=1e-2, v=1.0))
    (gradient,) = torch.autograd.grad(_sequence_mean_token_mean(result, batch["mask"]), batch["log_prob"])
    rows = batch["mask"].any(1).sum()
    expected = -batch["advantages"] * batch["mask"] / batch["mask"].sum(1, keepdim=True).clamp(min=1) / rows
    assert (result.ratio == 1).all()
    torch.testing.assert_close(gradient, expected)


def test_log_ratio_is_clamped_at_ten() -> None:
    batch = {
        "log_prob": torch.tensor([[40.0]], requires_grad=True),
        "old_log_prob": torch.zeros(1, 1),
        "advantages": -torch.ones(1, 1),
        "mask": torch.ones(1, 1),
    }
    result = kalman_clipped_objective(**batch, settings=FilterSettings(q=1.0, v=1e-3))
    assert result.ratio.item() == pytest.approx(math.exp(10))
    (gradient,) = torch.autograd.grad(result.token_loss.sum(), batch["log_prob"])
    assert gradient.item() == 0


def test_filtered_is_what_the_filter_returns() -> None:
    batch = _batch(7)
    result = kalman_clipped_objective(**batch, settings=FilterSettings(q=1e-2, v=0.1, kappa=1.0))
    direct = filter_log_ratios(batch["log_prob"] - batch["old_log_prob"], batch["mask"], q=1e-2, v=0.1, kappa=1.0)
    assert torch.equal(result.filtered.rho, direct.rho)
    assert torch.equal(result.filtered.clipped, direct.clipped)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"eps_low": -0.1}, "eps_low"),
        ({"eps_low": 1.1}, "eps_low"),
        ({"eps_high": -1.0}, "eps_high"),
        ({"settings": FilterSettings(q=1.0, v=1.0, kappa=1.0, estimator="ema")}, "ema has no threshold"),
    ],
)
def test_wrong_arguments_are_named(changed: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kalman_clipped_objective(**_batch(8), **{"settings": FilterSettings(q=1e-2, v=1.0), **changed})
