"""All tokens at once against verl's own loop over tokens: the same values and gradients, to the last bit."""

import importlib.util
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch
import verl
from verl.utils import torch_functional

from iskpo.verl.patches import log_probs


@pytest.fixture(scope="module")
def verls() -> ModuleType:
    """verl's module as it is on the disk, without what the plug-in puts into it."""
    spec = importlib.util.spec_from_file_location("torch_functional_of_verl", torch_functional.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    # verl sums up a single row at a time, which torch would split among threads.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(
    ("shape", "words"), [((1,), 7), ((129,), 16), ((57,), 1000), ((9,), 151_936), ((3, 11), 37), ((0,), 16)]
)
@pytest.mark.parametrize("numbers", [1 << 26, 500])
def test_values_and_gradients_are_verls(
    verls: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    dtype: torch.dtype,
    shape: tuple[int, ...],
    words: int,
    numbers: int,
) -> None:
    monkeypatch.setattr(log_probs, "_NUMBERS", numbers)
    generator = torch.Generator().manual_seed(words)
    logits = (5 * torch.randn(*shape, words, generator=generator)).to(dtype)
    labels = torch.randint(0, words, shape, generator=generator)
    weights = torch.randn(shape, generator=generator).to(dtype)
    found = []
    for function in (verls.logprobs_from_logits_v2, log_probs.log_probs_of_labels):
        if not logits.numel() and function is verls.logprobs_from_logits_v2:
            # verl's loop has nothing to stack.
            found.append((torch.empty(shape, dtype=dtype), torch.empty(*shape, words, dtype=dtype)))
            continue
        leaf = logits.clone().requires_grad_()
        values = function(leaf, labels)
        (values * weights).sum().backward()
        assert leaf.grad is not None
        found.append((values.detach(), leaf.grad))
    for expected, ours in zip(*found, strict=True):
        assert ours.dtype == expected.dtype
        assert torch.equal(ours, expected)


def test_verls_engine_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verl.__version__
    assert torch_functional.logprobs_from_logits_v2 is log_probs.log_probs_of_labels
    # flash-attn's kernel goes before it where that is installed.
    monkeypatch.setattr(torch_functional, "FLAH_ATTN_CROSS_ENTROPY_LOSS_AVAILABLE", False)
    logits, labels = torch.randn(4, 9), torch.arange(4)
    found = torch_functional.logprobs_from_logits(logits, labels)
    torch.testing.assert_close(found, logits.log_softmax(-1)[labels, labels])
