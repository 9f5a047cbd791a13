"""The GPU kernels against the specification: on a GPU where there is one, and by Triton's interpreter on any CPU.

Triton decides on import whether it interprets, so the kernels' tests below run here only with a CUDA device (or if
TRITON_INTERPRET=1 was set outside); `test_kernels_under_the_interpreter` runs the same tests in a process of its own.
"""

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from iskpo import gain_table, reference_filter, sigma_table

pytest.importorskip("triton", reason="triton is not installed (the locks bring it on x86-64)")

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from iskpo.kernels import triton_kernels as _triton_kernels
from iskpo.kernels import triton_scan

_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
_DEVICE = "cpu" if _INTERPRETED else "cuda"
# The interpreter takes a millisecond a step and pass, and its tiles can be as small as needed to have a first, a whole
# and a last one. On a GPU each is compiled for every combination of types, options and kinds of length, so fewer are
# tried.
_SMALL = [(2, 8), (16, 4)] if _INTERPRETED else [(32, 4)]
_LARGE = (16, 4) if _INTERPRETED else (64, 16)
_TOKENS = 160 if _INTERPRETED else 5000
_EXAMPLES = settings(max_examples=30 if _INTERPRETED else 60, deadline=None, derandomize=True)
_REPOSITORY = Path(__file__).parents[3]

decades = st.floats(-12, 0).map(lambda exponent: 10.0**exponent)
parameters = st.fixed_dictionaries(
    {
        "q": decades | st.just(0.0),
        "v": decades,
        "kappa": st.sampled_from([0.01, 0.3, 1.0, 3.0, math.inf]),
        "p0": st.sampled_from([0.0, 1e-4, 1.0]),
        "rho0": st.sampled_from([0.0, -0.3]),
    }
)
shapes = st.tuples(st.integers(0, 3), st.integers(0, 30))
batches = shapes.flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float64, shape, elements=st.floats(-5, 5, allow_subnormal=False)), hnp.arrays(np.bool_, shape)
    )
)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def _kernels(test: Callable[..., None]) -> Callable[..., None]:
    """A test that launches kernels."""
    if _INTERPRETED:
        return test
    reason = "no CUDA device; test_kernels_under_the_interpreter runs it on this machine"
    return pytest.mark.gpu(pytest.mark.skipif(not torch.cuda.is_available(), reason=reason)(test))


@pytest.mark.skipif(_INTERPRETED, reason="runs in this process")
def test_kernels_under_the_interpreter() -> None:
    # Triton 3.6, which the CUDA lock brings, reads its numbers in a way that NumPy deprecates.
    warnings = ["-W", "error", "-W", "ignore:Conversion of an array:DeprecationWarning"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *warnings, "--no-header", __file__],
        env={**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(_REPOSITORY)},
        cwd=_REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.skipif(_INTERPRETED, reason="the interpreter does not compile")
@pytest.mark.parametrize("architecture", [80, 90])
@pytest.mark.parametrize("number", ["fp32", "fp64"])
@pytest.mark.parametrize("kernel", ["clipping", "linear", "innovations", "adjoint"])
def test_kernels_compile_for_cuda_without_a_gpu(
    kernel: str, number: str, architecture: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    pointers = f"*{number}"
    absent: dict[str, Any] = {"threshold_ptr": None} if kernel == "linear" else {}
    if kernel == "adjoint":
        function, shape = _triton_kernels.adjoint_kernel, triton_scan._ADJOINT
        kinds = [pointers, "*u8", "*u8", pointers, "*i32", pointers, "i32"]
    else:
        function, shape = _triton_kernels.filter_kernel, triton_scan._FILTER
        kinds = [pointers, "*u8", pointers, pointers, pointers, "*u8", "*i32", pointers, "i32"]
        unasked = ["rho_ptr", "clipped_ptr", "count_ptr"] if kernel == "innovations" else ["innovation_ptr"]
        absent |= {"RHO0": 0.0, **dict.fromkeys(unasked)}
    options = shape.options
    constants = absent | {name: options.pop(name) for name in ("CHUNKS", "STEPS")}
    kinds += ["constexpr"] * (len(function.arg_names) - len(kinds))
    signature = {
        name: "constexpr" if name in constants else kind for name, kind in zip(function.arg_names, kinds, strict=True)
    }
    compiled = triton.compile(
        ASTSource(fn=function, signature=signature, constexprs=constants),
        target=GPUTarget("cuda", architecture, 32),
        options=options,
    )
    assert compiled.asm["cubin"]


def test_iskpo_imports_without_triton() -> None:
    program = "import sys; sys.modules['triton'] = None; import iskpo"
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": str(_REPOSITORY)})


def _tables(tokens: int, kappa: float, **model: float) -> tuple[torch.Tensor, torch.Tensor | None]:
    gain, sigma = (np.concatenate(([0.0], table(length=tokens, **model))) for table in (gain_table, sigma_table))
    threshold = None if math.isinf(kappa) else torch.from_numpy(kappa * sigma).to(_DEVICE)
    return torch.from_numpy(gain).to(_DEVICE), threshold


def _assert_is_reference(
    z: np.ndarray, mask: np.ndarray, *, shape: tuple[int, int], kappa: float, rho0: float = 0.0, **model: float
) -> np.ndarray:
    """Run both and compare each row on its own scale; returns what the reference clips."""
    gain, threshold = _tables(z.shape[1], kappa, **model)
    measured = torch.from_numpy(np.where(mask, z, math.nan)).to(_DEVICE)  # what is not observed has no effect
    with patch.object(triton_scan, "_FILTER", triton_scan._Shape(*shape)):
        found = triton_scan.clipping_filter(
            measured, torch.from_numpy(mask).to(_DEVICE), gain=gain, threshold=threshold, rho0=rho0
        )
        innovations = found.innovation()
    assert found.rho.dtype == innovations.dtype == measured.dtype
    assert found.finite()
    assert found.counts.tolist() == mask.sum(1).tolist() or not z.size
    rho, clipped, innovation = (x.cpu().numpy() for x in (found.rho, found.clipped, innovations))
    expected = reference_filter(z, mask, kappa=kappa, rho0=rho0, **model)

    share = 3e-6 if z.dtype == np.float32 else 1e-13
    state = np.abs(expected.rho).max(1, initial=max(abs(rho0), 1e-30))[:, None]
    signal = np.abs(np.where(mask, z, 0)).max(1, initial=0)[:, None] + state
    assert (np.abs(rho - expected.rho) <= share * state).all()
    assert (np.abs(innovation - expected.innovation) <= share * signal).all()
    limit = kappa * expected.sigma if threshold is not None else np.full(z.shape, math.inf)
    near = np.abs(np.abs(expected.innovation) - limit) <= share * signal
    assert ((clipped == expected.clipped) | near).all()
    assert not rho[~mask].any()
    assert not innovation[~mask].any()
    assert not clipped[~mask].any()
    return expected.clipped


@_kernels
@_EXAMPLES
@given(
    batch=batches, arguments=parameters, dtype=st.sampled_from([np.float32, np.float64]), shape=st.sampled_from(_SMALL)
)
def test_filter_is_the_reference_for_any_mask_and_parameters(batch, arguments, dtype, shape: tuple[int, int]) -> None:
    _assert_is_reference(batch[0].astype(dtype), batch[1], shape=shape, **arguments)


def _signal(name: str, rows: int) -> np.ndarray:
    generator = np.random.default_rng(7)
    shape = (rows, _TOKENS)
    match name:
        case "student":
            return 0.05 * generator.standard_t(3, shape)
        case "walk":
            return np.cumsum(0.1 * generator.standard_normal(shape), axis=1)
        case "square":
            return np.where(np.arange(_TOKENS) // 37 % 2 == 0, 1.0, -1.0) * np.arange(1, rows + 1)[:, None]
        case "bursts":
            bursts = generator.random(shape) < max(0.01, 5 / _TOKENS)
            return np.where(bursts, 1e3, 1e-3) * generator.standard_normal(shape)
    raise KeyError(name)


@_kernels
@pytest.mark.parametrize("name", ["student", "walk", "square", "bursts"])
@pytest.mark.parametrize(("q", "kappa"), [(1e-6, 0.1), (1e-5, 3.0), (1e-3, 1.0), (1e-3, math.inf), (1.0, 0.01)])
@dtypes
def test_signals_over_many_tiles_are_the_reference(name: str, q: float, kappa: float, dtype: type) -> None:
    z = _signal(name, 2).astype(dtype)
    mask = np.random.default_rng(8).random(z.shape) < np.array([[1.0], [0.8]])
    _assert_is_reference(z, mask, shape=_LARGE, kappa=kappa, q=q, v=1e-3)


@_kernels
@dtypes
def test_padding_on_either_side_and_empty_rows_are_the_reference(dtype: type) -> None:
    z = _signal("walk", 3).astype(dtype)
    mask = np.ones(z.shape, dtype=bool)
    mask[0, : _TOKENS // 2] = mask[1, _TOKENS // 3 :] = mask[2] = False
    _assert_is_reference(z, mask, shape=_LARGE, kappa=1.0, q=1e-4, v=1e-2, rho0=-0.3)


@_kernels
@dtypes
def test_nearly_everything_clipped_is_the_reference(dtype: type) -> None:
    z = _signal("square", 2).astype(dtype)
    clipped = _assert_is_reference(z, np.ones(z.shape, dtype=bool), shape=_LARGE, kappa=0.2, q=1e-5, v=1e-5)
    assert clipped.mean() > 0.95


@_kernels
@pytest.mark.parametrize("q", [1e-6, 1e-2])
def test_the_tile_in_use_keeps_float32_digits_of_small_and_large_gains(q: float) -> None:
    shape = triton_scan._FILTER
    z = np.random.default_rng(9).standard_t(3, (1, shape.chunks * shape.steps + 300)).astype(np.float32)
    _assert_is_reference(z, np.ones(z.shape, dtype=bool), shape=shape, kappa=2.0, q=q, v=1.0)


@_kernels
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # the interpreter's numpy: 0 * infinity
@pytest.mark.parametrize("kappa", [1.0, math.inf])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_measurement_that_is_not_finite_is_told_though_it_was_clipped(value: float, kappa: float) -> None:
    gain, threshold = _tables(70, kappa, q=1e-2, v=1.0)
    z = torch.zeros(3, 70, device=_DEVICE)
    z[1, 40] = z[2, 40] = value
    observed = torch.ones_like(z, dtype=torch.bool)
    observed[2, 40] = False
    found = triton_scan.clipping_filter(z, observed, gain=gain, threshold=threshold, rho0=0.0)
    assert not found.finite()
    assert found.counts.tolist() == [70, -1 - 70, 69]
    counted, counting = (
        triton_scan.filter_adjoint(torch.ones_like(z), observed, found.clipped, gain=gain, counts=counts)
        for counts in (found.counts, None)
    )
    assert torch.equal(counted, counting)


def _plain_adjoint(gradient: np.ndarray, mask: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The gradient by z and lambda, token by token."""
    result, adjoint = np.zeros(gradient.shape), np.zeros(gradient.shape)
    for row in range(gradient.shape[0]):
        message = 0.0
        for token in reversed(range(gradient.shape[1])):
            if mask[row, token]:
                adjoint[row, token] = gradient[row, token] + message
                result[row, token] = weight[row, token] * adjoint[row, token]
                message = (1 - weight[row, token]) * adjoint[row, token]
    return result, adjoint


def _assert_adjoint_is_plain(
    gradient: np.ndarray,
    z: np.ndarray,
    mask: np.ndarray,
    *,
    shape: tuple[int, int],
    kappa: float,
    rho0: float = 0.0,
    **model: float,
) -> None:
    reference = reference_filter(z, mask, kappa=kappa, rho0=rho0, **model)
    gain, _ = _tables(z.shape[1], kappa, **model)
    given_gradient = torch.from_numpy(np.where(mask, gradient, math.nan)).to(_DEVICE)
    flags = [torch.from_numpy(x).to(_DEVICE) for x in (mask, reference.clipped)]
    with patch.object(triton_scan, "_ADJOINT", triton_scan._Shape(*shape)):
        found = triton_scan.filter_adjoint(given_gradient, *flags, gain=gain).cpu().numpy()
    expected, adjoint = _plain_adjoint(gradient, mask, np.where(reference.clipped, 0, reference.gain))
    share = 3e-6 if gradient.dtype == np.float32 else 1e-13
    scale = reference.gain.max(1, initial=0)[:, None] * np.abs(adjoint).max(1, initial=1e-30)[:, None]
    assert (np.abs(found - expected) <= share * scale).all()
    assert not found[~mask].any()


@_kernels
@_EXAMPLES
@given(
    batch=batches, arguments=parameters, dtype=st.sampled_from([np.float32, np.float64]), shape=st.sampled_from(_SMALL)
)
def test_adjoint_is_the_plain_loop_for_any_mask_and_parameters(batch, arguments, dtype, shape: tuple[int, int]) -> None:
    z, mask = batch
    gradient = np.random.default_rng(z.shape[1]).standard_normal(z.shape).astype(dtype)
    _assert_adjoint_is_plain(gradient, z, mask, shape=shape, **arguments)


@_kernels
@pytest.mark.parametrize(("q", "kappa"), [(1e-6, 1.0), (1e-3, 1.0), (1e-3, math.inf), (1.0, 0.3)])
@dtypes
def test_adjoint_over_many_tiles_is_the_plain_loop(q: float, kappa: float, dtype: type) -> None:
    z = _signal("student", 2)
    mask = np.random.default_rng(8).random(z.shape) < np.array([[1.0], [0.8]])
    gradient = np.random.default_rng(10).standard_normal(z.shape).astype(dtype)
    _assert_adjoint_is_plain(gradient, z, mask, shape=_LARGE, kappa=kappa, q=q, v=1e-3)


@_kernels
def test_adjoint_takes_the_gradient_of_a_sum_which_is_one_number_for_all_tokens() -> None:
    observed = torch.ones(2, 70, dtype=torch.bool, device=_DEVICE)
    gain, _ = _tables(70, math.inf, q=1e-2, v=1.0)
    one = torch.ones((), device=_DEVICE)
    found = triton_scan.filter_adjoint(one.expand(2, 70), observed, ~observed, gain=gain)
    assert torch.equal(found, triton_scan.filter_adjoint(torch.ones_like(found), observed, ~observed, gain=gain))
    assert found.all()
