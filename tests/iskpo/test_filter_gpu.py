"""The filter on a GPU gives what it gives on the CPU."""

import math

import numpy as np
import pytest
import torch

from iskpo import filter_log_ratios


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kappa", [0.3, math.inf])
def test_gpu_gives_what_the_cpu_gives(kappa: float) -> None:
    z = torch.from_numpy(0.05 * np.random.default_rng(7).standard_t(3, (8, 3000))).float()
    mask = torch.rand(z.shape, generator=torch.Generator().manual_seed(0)) < 0.9
    results = [
        filter_log_ratios(z.to(device), mask.to(device), q=1e-3, v=1e-2, kappa=kappa) for device in ("cuda", "cpu")
    ]
    found, expected = results
    assert found.rho.is_cuda
    torch.testing.assert_close(found.rho.cpu(), expected.rho)
    near = (expected.innovation.abs() / (kappa * expected.sigma) - 1).abs() < 1e-5
    assert ((found.clipped.cpu() == expected.clipped) | near)[mask].all()
