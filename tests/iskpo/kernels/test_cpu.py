"""The CPU's kernels beside the reference: rows do not mix, flags fit what is returned, machine code is never stale."""

import ast
import importlib.util
import inspect
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from numba.core.dispatcher import Dispatcher

from iskpo import filter_log_ratios
from iskpo.kernels import causal_cpu, class_statistics, cpu, replay_kernel

PARAMETERS = {"q": 1e-4, "v": 1e-2, "kappa": 1.5}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tokens", [1, 200])
def test_a_row_is_filtered_alike_alone_and_among_others(dtype: torch.dtype, tokens: int) -> None:
    generator = np.random.default_rng(tokens)
    z = torch.from_numpy(generator.standard_t(3, (17, tokens)) * 0.05).to(dtype)
    mask = torch.from_numpy(generator.random(z.shape) < generator.random((17, 1)))
    together = _both_ways(z, mask)
    for row in range(len(z)):
        for found, alone in zip(together, _both_ways(z[row : row + 1], mask[row : row + 1]), strict=True):
            assert torch.equal(found[row], alone[0])


def _both_ways(z: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
    z = z.detach().requires_grad_()
    result = filter_log_ratios(z, mask, gradient="through", **PARAMETERS)
    # A gradient whose padding is not finite, as a loss may leave it there.
    gradient = torch.where(mask, torch.linspace(-1, 1, z.shape[1], dtype=z.dtype), torch.nan)
    (grad_z,) = torch.autograd.grad(result.rho, z, gradient)
    return result.rho.detach(), result.innovation, result.clipped, grad_z


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("kappa", [0.3, 1.5])
def test_float32_is_consistent_with_what_it_returns(kappa: float) -> None:
    generator = np.random.default_rng(1)
    z = torch.from_numpy(generator.standard_t(2, (9, 500)).astype(np.float32))
    result = filter_log_ratios(z, torch.ones_like(z), q=1e-4, v=1e-2, kappa=kappa)
    before = torch.nn.functional.pad(result.rho[:, :-1], (1, 0))
    assert torch.equal(result.innovation, z - before)
    threshold = (kappa * result.sigma.double()).float()
    near = (result.innovation.abs() - threshold).abs() <= 2e-7 * threshold
    assert torch.equal(result.clipped | near, (result.innovation.abs() > threshold) | near)
    assert 0 < int(result.clipped.sum()) < z.numel()


@pytest.mark.usefixtures("each_backend")
def test_a_small_gain_loses_nothing_in_float32() -> None:
    # From token 130 on a step is less than float32 can add to a rho near 1.
    z = torch.cat((torch.ones(1, 1), torch.full((1, 10_000), 1.001)), 1)
    single, double = (filter_log_ratios(x, torch.ones_like(x), q=1e-20, v=1.0, p0=1e10) for x in (z, z.double()))
    torch.testing.assert_close(single.rho.double(), double.rho, rtol=6e-8, atol=0)


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("position", [0, 64, 199])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_value_that_is_not_finite_is_found_wherever_it_stands(position: int, bad: float) -> None:
    z, mask = torch.zeros(20, 200), torch.ones(20, 200, dtype=torch.bool)
    mask[:, 100] = False
    z[13, position] = bad
    with pytest.raises(ValueError, match=f"row 13, token {position} "):
        filter_log_ratios(z, mask, **PARAMETERS)
    mask[13, position] = False
    assert filter_log_ratios(z, mask, **PARAMETERS).rho.isfinite().all()


@pytest.mark.parametrize("module", [cpu, causal_cpu, class_statistics, replay_kernel])
def test_kernels_need_only_their_own_file(module: ModuleType) -> None:
    """numba compiles again when a kernel's file changes and looks at no other file, so nothing may come from there."""
    nodes = ast.walk(ast.parse(inspect.getsource(module)))
    foreign = {
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module not in ("numba", "numpy")
        for alias in node.names
    }
    kernels = [value for value in vars(module).values() if isinstance(value, Dispatcher)]
    assert kernels
    for kernel in kernels:
        assert foreign.isdisjoint(inspect.getclosurevars(kernel.py_func).globals), kernel


def test_an_edited_kernel_is_compiled_again(tmp_path: Path) -> None:
    source = Path(cpu.__file__).read_text(encoding="utf-8")
    edited = source.replace("state += gain[count] *", "state -= gain[count] *")
    assert edited != source
    z, seen, gain = torch.tensor([[3.0]]), torch.ones(1, 1, dtype=torch.bool), torch.tensor([0.0, 0.5]).double()
    file = tmp_path / "cpu.py"
    for text, from_cache, expected in ((source, 0, 2.0), (None, 1, 2.0), (edited, 0, 0.0)):
        if text is not None:
            file.write_text(text)
        module = _load(file)
        assert module.clipping_filter(z, seen, gain=gain, threshold=None, rho0=1.0).rho.item() == expected
        assert sum(module._filter.stats.cache_hits.values()) == from_cache


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("edited_kernels", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
