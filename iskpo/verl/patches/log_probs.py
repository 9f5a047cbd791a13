"""verl 0.9.1: log-probabilities of the tokens that were sampled, for all tokens at once.

Without flash-attn, which is not among the dependencies, verl takes them in a loop over the first dimension of the
logits "to reduce peak memory". Its engine passes (tokens, words), so that is a loop over tokens: some tens of
microseconds for each, forward and again backward, where the arithmetic of all of them takes a few milliseconds.

It goes away when ``logprobs_from_logits_v2`` in ``verl/utils/torch_functional.py`` has no such loop.
"""

from types import ModuleType

import torch
from torch import Tensor

# Logits that are taken at once: 256 MB in float32, beside the logits themselves.
_NUMBERS = 1 << 26


def log_probs_of_labels(logits: Tensor, labels: Tensor) -> Tensor:
    r"""The same as verl's ``logprobs_from_logits_v2``: :math:`x_y - \log \sum_w \exp x_w`.

    A row's numbers do not depend on the rows beside it, so they are verl's to the last bit; on a CPU with several
    threads only below 32,768 words, from where torch splits verl's single row among them.

    Args:
        logits: (..., words).
        labels: Token numbers, (...).

    Returns:
        Log-probabilities, (...), of the logits' type.
    """
    words = logits.shape[-1]
    rows = max(1, _NUMBERS // words)
    parts = [
        _of_rows(some, chosen.unsqueeze(-1)).squeeze(-1)
        for some, chosen in zip(logits.reshape(-1, words).split(rows), labels.reshape(-1).split(rows), strict=True)
    ]
    return torch.cat(parts).view(labels.shape)


def _of_rows(logits: Tensor, labels: Tensor) -> Tensor:
    if logits.dtype in (torch.float32, torch.float64):
        return logits.gather(-1, labels) - logits.logsumexp(-1, keepdim=True)
    # verl does so too: narrower types would lose digits in the difference.
    return logits.log_softmax(-1).gather(-1, labels)


def install(module: ModuleType) -> None:
    """Put it in the place of verl's in ``verl.utils.torch_functional``, whose other functions look it up there."""
    module.logprobs_from_logits_v2 = log_probs_of_labels  # type: ignore[attr-defined]
