"""The fast filter against its specification, on every kind of mask, parameter and signal."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from iskpo import FilterResult, NonFiniteLogRatioError, filter_log_ratios, gain_table, reference_filter

pytestmark = pytest.mark.usefixtures("each_backend")

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
shapes = st.tuples(st.integers(0, 5), st.integers(0, 40))
batches = shapes.flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float64, shape, elements=st.floats(-5, 5, allow_subnormal=False)), hnp.arrays(np.bool_, shape)
    )
)


def _assert_is_reference(result: FilterResult, z: np.ndarray, mask: np.ndarray, kappa: float, **rest: float) -> None:
    expected = reference_filter(z, mask, kappa=kappa, **rest)
    single = result.rho.dtype == torch.float32
    scale = max(1e-300, float(np.abs(expected.rho).max(initial=0)), float(np.abs(expected.innovation).max(initial=0)))
    for name in ("rho", "innovation"):
        error = np.abs(getattr(result, name).double().numpy() - getattr(expected, name)).max(initial=0)
        # 1e-44: below float32's smallest normal number there are no digits to keep.
        assert error <= (3e-7 * scale + 1e-44 if single else 1e-12 * scale), name
    for name in ("gain", "sigma"):
        np.testing.assert_allclose(
            getattr(result, name).numpy(), getattr(expected, name), rtol=1.2e-7 if single else 1e-12, atol=1e-44
        )
    finite = expected.sigma * kappa if not math.isinf(kappa) else np.full(z.shape, math.inf)
    # In float32 an innovation is the difference of two rounded numbers.
    near = np.abs(np.abs(expected.innovation) - finite) <= (2.4e-7 if single else 1e-12) * scale
    assert ((result.clipped.numpy() == expected.clipped) | near).all()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(batch=batches, arguments=parameters, dtype=st.sampled_from([np.float32, np.float64]))
def test_filter_is_the_reference_for_any_mask_and_parameters(batch, arguments, dtype) -> None:
    z, mask = batch[0].astype(dtype), batch[1]
    result = filter_log_ratios(torch.from_numpy(z), torch.from_numpy(mask), **arguments)
    assert result.rho.dtype == torch.from_numpy(z).dtype
    _assert_is_reference(result, z, mask, **arguments)


def _signal(name: str, rows: int, tokens: int) -> np.ndarray:
    generator = np.random.default_rng(7)
    match name:
        case "student":
            return 0.05 * generator.standard_t(3, (rows, tokens))
        case "walk":
            return np.cumsum(0.1 * generator.standard_normal((rows, tokens)), axis=1)
        case "square":
            return np.where(np.arange(tokens) // 37 % 2 == 0, 1.0, -1.0) * np.arange(1, rows + 1)[:, None]
        case "bursts":
            return np.where(generator.random((rows, tokens)) < 0.01, 1e3, 1e-3) * generator.standard_normal(
                (rows, tokens)
            )
    raise KeyError(name)


@pytest.mark.parametrize("name", ["student", "walk", "square", "bursts"])
@pytest.mark.parametrize("kappa", [0.001, 0.1, 1.0, 3.0, math.inf])
@pytest.mark.parametrize("q", [1e-6, 1e-3, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_long_rows_are_the_reference(name: str, kappa: float, q: float, dtype: type) -> None:
    z = _signal(name, 4, 1500).astype(dtype)
    mask = np.random.default_rng(8).random(z.shape) < np.array([[1.0], [0.9], [0.5], [0.01]])
    result = filter_log_ratios(torch.from_numpy(z), torch.from_numpy(mask), q=q, v=1e-3, kappa=kappa)
    _assert_is_reference(result, z, mask, kappa, q=q, v=1e-3)


def test_nearly_everything_clipped_is_the_reference() -> None:
    z = _signal("square", 3, 2000)
    mask = np.ones(z.shape, dtype=bool)
    result = filter_log_ratios(torch.from_numpy(z), torch.from_numpy(mask), q=1e-5, v=1e-5, kappa=0.2)
    assert result.clipped.double().mean() > 0.95
    _assert_is_reference(result, z, mask, 0.2, q=1e-5, v=1e-5)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(batch=batches, arguments=parameters)
def test_a_clipped_update_never_moves_further_than_gain_times_threshold(batch, arguments) -> None:
    z, mask = (torch.from_numpy(x) for x in batch)
    result = filter_log_ratios(z, mask, **arguments)
    for row in range(z.shape[0]):
        seen = mask[row]
        rho = torch.cat((torch.tensor([arguments["rho0"]], dtype=torch.float64), result.rho[row][seen]))
        if math.isfinite(arguments["kappa"]):
            limit = result.gain[row][seen] * arguments["kappa"] * result.sigma[row][seen]
            assert (rho.diff().abs() <= limit * (1 + 1e-9) + 1e-14).all()
            assert (
                rho.diff().abs()[result.clipped[row][seen]] >= (limit * (1 - 1e-9) - 1e-14)[result.clipped[row][seen]]
            ).all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(batch=batches, arguments=parameters, factor=st.floats(-3, 3))
def test_without_clipping_the_filter_is_linear(batch, arguments, factor: float) -> None:
    z, mask = (torch.from_numpy(x) for x in batch)
    arguments = {**arguments, "kappa": math.inf, "rho0": 0.0}
    other = torch.linspace(-1, 1, z.numel(), dtype=torch.float64).reshape(z.shape)
    filtered = [filter_log_ratios(x, mask, **arguments).rho for x in (z, other, z + factor * other)]
    torch.testing.assert_close(filtered[2], filtered[0] + factor * filtered[1], rtol=1e-12, atol=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(batch=batches, arguments=parameters)
def test_gain_does_not_depend_on_data_and_counts_observed_tokens(batch, arguments) -> None:
    z, mask = (torch.from_numpy(x) for x in batch)
    gain = filter_log_ratios(z, mask, **arguments).gain
    table = gain_table(q=arguments["q"], v=arguments["v"], p0=arguments["p0"], length=z.shape[1])
    for row in range(z.shape[0]):
        assert gain[row][mask[row]].tolist() == table[: int(mask[row].sum())].tolist()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(batch=batches, arguments=parameters, poison=st.sampled_from([math.nan, math.inf, -math.inf, 1e30]))
def test_what_lies_outside_the_mask_has_no_effect(batch, arguments, poison: float) -> None:
    z, mask = (torch.from_numpy(x) for x in batch)
    clean = filter_log_ratios(torch.where(mask, z, 0.0), mask, **arguments)
    dirty = filter_log_ratios(torch.where(mask, z, poison), mask, **arguments)
    for name in ("rho", "innovation", "gain", "sigma", "clipped"):
        assert torch.equal(getattr(clean, name), getattr(dirty, name))
        assert not getattr(dirty, name)[~mask].any()


def test_padding_on_either_side_is_the_same() -> None:
    z = torch.randn(1, 300, generator=torch.Generator().manual_seed(0))
    ones, zeros, blank = torch.ones(1, 300), torch.zeros(1, 200), torch.full((1, 200), math.nan)
    left = filter_log_ratios(torch.cat((blank, z), 1), torch.cat((zeros, ones), 1), q=1e-2, v=1.0, kappa=1.0)
    right = filter_log_ratios(torch.cat((z, blank), 1), torch.cat((ones, zeros), 1), q=1e-2, v=1.0, kappa=1.0)
    torch.testing.assert_close(left.rho[:, 200:], right.rho[:, :300], rtol=1e-7, atol=1e-9)
    assert torch.equal(left.clipped[:, 200:], right.clipped[:, :300])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("numerics", ["exact", "public-cumsum-fp32"])
def test_a_bad_observed_log_ratio_is_reported_with_its_place(value: float, numerics: str) -> None:
    z, mask = torch.zeros(4, 9), torch.ones(4, 9, dtype=torch.bool)
    z[0, 3], mask[0, 3] = value, False
    z[2, 5] = z[3, 0] = value
    with pytest.raises(NonFiniteLogRatioError, match=r"row 2, token 5 \(2 such") as error:
        filter_log_ratios(z, mask, q=1e-2, v=1.0, numerics=numerics)
    assert (error.value.row, error.value.token) == (2, 5)
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"q": -1e-9}, "q .*-1e-09"),
        ({"q": math.inf}, "q .*inf"),
        ({"v": 0.0}, "v .*0.0"),
        ({"kappa": 0.0}, "kappa .*0.0"),
        ({"kappa": math.nan}, "kappa .*nan"),
        ({"p0": -1.0}, "p0 .*-1.0"),
        ({"rho0": math.nan}, "rho0 .*nan"),
        ({"gradient": "both"}, "gradient .*'both'"),
        ({"numerics": "fast"}, "numerics .*'fast'"),
        ({"z": torch.zeros(3)}, r"z .*\(3,\)"),
        ({"z": torch.zeros(2, 3, dtype=torch.bfloat16)}, "z .*bfloat16"),
        ({"mask": torch.ones(2, 4)}, r"mask .*\(2, 4\)"),
        ({"mask": torch.ones(2, 3, device="meta")}, "mask .*meta"),
        ({"numerics": "public-cumsum-fp32", "kappa": 3.0}, "public-cumsum-fp32 cannot clip"),
    ],
)
def test_wrong_arguments_are_named(changed: dict, message: str) -> None:
    arguments = {"z": torch.zeros(2, 3), "mask": torch.ones(2, 3), "q": 1e-2, "v": 1.0, **changed}
    with pytest.raises(ValueError, match=message):
        filter_log_ratios(arguments.pop("z"), arguments.pop("mask"), **arguments)


@pytest.mark.parametrize("tokens", [63, 64, 65, 129, 1000])
@pytest.mark.parametrize("rows", [1, 15, 16, 17, 33])
def test_any_number_of_rows_and_tokens_and_any_layout(rows: int, tokens: int) -> None:
    z = _signal("student", tokens, rows).T
    mask = np.arange(tokens) < np.random.default_rng(rows).integers(0, tokens + 1, (rows, 1))
    mask[0] = True
    result = filter_log_ratios(torch.from_numpy(z), torch.from_numpy(mask), q=1e-4, v=1e-3, kappa=1.0)
    _assert_is_reference(result, z, mask, 1.0, q=1e-4, v=1e-3)
