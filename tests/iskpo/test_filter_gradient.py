"""Gradients of the filter: exact through the recurrence, none in straight-through mode."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iskpo import filter_log_ratios, reference_filter

pytestmark = pytest.mark.usefixtures("each_backend")


def _batch(rows: int, tokens: int, seed: int, hole_share: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(rows, tokens, generator=generator, dtype=torch.float64)
    return z.requires_grad_(), torch.rand(rows, tokens, generator=generator) >= hole_share


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    tokens=st.integers(1, 12),
    holes=st.sampled_from([0.0, 0.3, 1.0]),
    kappa=st.sampled_from([0.3, 1.0, math.inf]),
    q=st.sampled_from([1e-4, 1e-1, 10.0]),
)
def test_gradient_through_the_filter_passes_gradcheck(
    seed: int, tokens: int, holes: float, kappa: float, q: float
) -> None:
    z, mask = _batch(3, tokens, seed, holes)

    def rho(x: torch.Tensor) -> torch.Tensor:
        return filter_log_ratios(x, mask, q=q, v=0.5, kappa=kappa, p0=0.1, gradient="through").rho

    assert torch.autograd.gradcheck(rho, (z,))


@pytest.mark.parametrize("kappa", [0.2, 2.0, math.inf])
def test_long_rows_have_the_gradient_of_the_plain_loop(kappa: float) -> None:
    z, mask = _batch(4, 700, 3, 0.2)
    q, v = 1e-2, 0.3
    weights = torch.linspace(-1, 1, z.numel(), dtype=torch.float64).reshape(z.shape)
    result = filter_log_ratios(z, mask, q=q, v=v, kappa=kappa, gradient="through")
    (gradient,) = torch.autograd.grad((result.rho * weights).sum(), z)

    reference = reference_filter(z.detach(), mask, q=q, v=v, kappa=kappa)
    gain, sigma = torch.from_numpy(reference.gain), torch.from_numpy(reference.sigma)
    state, loss = torch.zeros(4, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for token in range(700):
        innovation = torch.where(mask[:, token], z[:, token] - state, 0)
        limit = torch.full_like(state, math.inf) if math.isinf(kappa) else kappa * sigma[:, token]
        state = state + gain[:, token] * innovation.clamp(-limit, limit)
        loss = loss + (weights[:, token] * state)[mask[:, token]].sum()
    (expected,) = torch.autograd.grad(loss, z)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


def test_one_token_has_its_gain_as_gradient_and_a_clipped_one_none() -> None:
    z = torch.tensor([[0.1], [50.0]], requires_grad=True)
    result = filter_log_ratios(z, torch.ones(2, 1), q=1.0, v=1.0, kappa=1.0, gradient="through")
    (gradient,) = torch.autograd.grad(result.rho.sum(), z)
    assert gradient[:, 0].tolist() == [pytest.approx(0.5, rel=1e-7), 0.0]


def test_straight_through_result_carries_no_gradient() -> None:
    z = torch.zeros(2, 3, requires_grad=True)
    result = filter_log_ratios(z, torch.ones(2, 3), q=1e-2, v=1.0)
    assert not any(x.requires_grad for x in (result.rho, result.innovation, result.gain, result.sigma))


@pytest.mark.parametrize("numerics", ["exact", "public-cumsum-fp32"])
def test_only_rho_is_differentiable(numerics: str) -> None:
    z = torch.zeros(2, 3, requires_grad=True)
    result = filter_log_ratios(z, torch.ones(2, 3), q=1e-2, v=1.0, gradient="through", numerics=numerics)
    assert result.rho.requires_grad
    assert not any(x.requires_grad for x in (result.innovation, result.gain, result.sigma))


def test_padding_has_no_gradient_even_when_it_is_nan() -> None:
    z, mask = _batch(3, 300, 5, 0.4)
    z = torch.where(mask, z.detach(), math.nan).requires_grad_()
    result = filter_log_ratios(z, mask, q=1e-2, v=1.0, kappa=1.0, gradient="through")
    (gradient,) = torch.autograd.grad(result.rho.square().sum(), z)
    assert gradient.isfinite().all()
    assert not gradient[~mask].any()
    assert gradient[mask].abs().sum() > 0


def test_no_rows_and_no_tokens() -> None:
    for shape in ((0, 4), (3, 0)):
        z = torch.zeros(shape, requires_grad=True)
        result = filter_log_ratios(z, torch.ones(shape), q=1e-2, v=1.0, kappa=1.0, gradient="through")
        (gradient,) = torch.autograd.grad(result.rho.sum(), z)
        assert gradient.shape == result.rho.shape == shape


def test_public_and_exact_numerics_have_the_same_gradient_where_both_hold() -> None:
    z, mask = _batch(3, 60, 9, 0.3)
    weights = torch.linspace(-1, 1, z.numel(), dtype=torch.float64).reshape(z.shape)
    gradients = []
    for numerics in ("exact", "public-cumsum-fp32"):
        rho = filter_log_ratios(z, mask, q=1e-2, v=1.0, gradient="through", numerics=numerics).rho
        gradients.append(torch.autograd.grad((rho * weights).sum(), z)[0])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)
