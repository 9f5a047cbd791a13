"""The policy: a Qwen3 of a million parameters or a few, freshly initialised."""

import torch
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

_HEAD = 32


def build_model(
    *,
    tokenizer: PreTrainedTokenizerFast,
    seed: int,
    positions: int = 512,
    hidden_size: int = 128,
    layers: int = 4,
) -> Qwen3ForCausalLM:
    """Return a float32 model whose vocabulary is exactly the tokenizer's.

    A larger vocabulary (padding to a round number is usual) would be masked by verl in the rollout only, and rollout
    and actor would disagree on every log-probability. Leaves torch's global random state as it was.
    """
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=3 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=hidden_size // _HEAD,
        num_key_value_heads=hidden_size // _HEAD // 2,
        head_dim=_HEAD,
        max_position_embeddings=positions,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        tie_word_embeddings=True,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Qwen3ForCausalLM(config).to(torch.float32)
