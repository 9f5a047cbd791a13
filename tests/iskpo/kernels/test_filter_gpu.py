"""The filter, and the whole loss with its statistics, give on a GPU what they give on the CPU."""

import math
from dataclasses import asdict
from typing import get_args

import numpy as np
import pytest
import torch

from iskpo import FilterSettings, InnovationSummary, filter_log_ratios, kalman_clipped_objective
from iskpo.innovation_moments import FIELDS, moments_by_class
from iskpo.settings import Gradient

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.parametrize("kappa", [0.3, math.inf]),
]
PARAMETERS = {"q": 1e-3, "v": 1e-2}


def _noise(rows: int, tokens: int) -> torch.Tensor:
    return torch.from_numpy(0.05 * np.random.default_rng(7).standard_t(3, (rows, tokens))).float()


def _mask(rows: int, tokens: int) -> torch.Tensor:
    """Full, padded on the right, and with holes, in turns."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.ones(rows, tokens, dtype=torch.bool)
    mask[1::3] = torch.arange(tokens) < torch.randint(1, tokens, (len(mask[1::3]), 1), generator=generator)
    mask[2::3] = torch.rand(len(mask[2::3]), tokens, generator=generator) < 0.9
    return mask


@pytest.mark.parametrize("tokens", [3000, 4096])
def test_gpu_gives_what_the_cpu_gives(kappa: float, tokens: int) -> None:
    z, mask = _noise(9, tokens), _mask(9, tokens)
    found, expected = (
        filter_log_ratios(z.to(device), mask.to(device), kappa=kappa, **PARAMETERS) for device in ("cuda", "cpu")
    )
    assert found.rho.is_cuda
    torch.testing.assert_close(found.rho.cpu(), expected.rho)
    torch.testing.assert_close(found.innovation.cpu(), expected.innovation)
    near = (expected.innovation.abs() / (kappa * expected.sigma) - 1).abs() < 1e-5
    assert ((found.clipped.cpu() == expected.clipped) | near)[mask].all()


@pytest.mark.parametrize("gradient", get_args(Gradient))
def test_loss_on_a_gpu_is_that_on_the_cpu(kappa: float, gradient: Gradient) -> None:
    old = -torch.rand(9, 3000, generator=torch.Generator().manual_seed(1))
    log_prob, mask = old + _noise(9, 3000), _mask(9, 3000)
    advantages = torch.randn(9, 1, generator=torch.Generator().manual_seed(2)).expand(9, 3000)
    losses, gradients, ratios, summaries, moments = [], [], [], [], []
    for device in ("cuda", "cpu"):
        moved = log_prob.to(device).requires_grad_()
        result = kalman_clipped_objective(
            log_prob=moved,
            old_log_prob=old.to(device),
            advantages=advantages.to(device),
            mask=mask.to(device),
            settings=FilterSettings(kappa=kappa, gradient=gradient, **PARAMETERS),
            clip=False,  # so that rounding cannot decide which gradients are zero
        )
        (found,) = torch.autograd.grad(result.token_loss.sum(), moved)
        losses.append(result.token_loss.detach().cpu())
        gradients.append(found.cpu())
        ratios.append(result.ratio.cpu())
        summaries.append(InnovationSummary.from_filter(result.filtered, mask.to(device)))
        moments.append(moments_by_class(result.filtered, mask.to(device), old.to(device)))
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(ratios[0], ratios[1])

    tokens, clipped = FIELDS.index("tokens"), FIELDS.index("clipped")
    np.testing.assert_array_equal(moments[0][:, tokens], moments[1][:, tokens])
    assert np.abs(moments[0][:, clipped] - moments[1][:, clipped]).sum() <= 2
    others = [place for place in range(len(FIELDS)) if place not in (tokens, clipped)]
    np.testing.assert_allclose(moments[0][:, others], moments[1][:, others], rtol=1e-3, atol=1e-6)

    found_summary, expected_summary = (asdict(summary) for summary in summaries)
    for name in ("tokens", "sequences", "nonfinite"):
        assert found_summary.pop(name) == expected_summary.pop(name)
    # Rounding may put a token that lies at a bound on its other side: two of 27,000 at most.
    assert abs(found_summary.pop("clipped") - expected_summary.pop("clipped")) <= 2
    for name, counts in found_summary.pop("histogram").items():
        assert np.abs(np.subtract(counts, expected_summary["histogram"][name])).sum() <= 4
    del expected_summary["histogram"]
    spread = math.sqrt(expected_summary["m2"] / summaries[1].tokens)
    scale = {"mean": spread, "m3": expected_summary["m2"] * spread}
    for name, value in expected_summary.items():
        assert found_summary[name] == pytest.approx(value, rel=1e-5, abs=1e-5 * scale.get(name, 0.0)), name
