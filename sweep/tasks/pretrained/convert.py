"""Make float32 weights and a tokenizer of a GGUF file: a process of its own, since it needs torch and transformers.

    python -m sweep.tasks.pretrained.convert FILE.gguf FOLDER

transformers reads the quantised weights with the package ``gguf``. The ids of the special tokens are taken from the
file: the tokenizer that transformers makes of a byte-pair vocabulary takes ``<|im_start|>`` for the end of an answer,
which no answer of SmolLM2 has.
"""

import sys
from pathlib import Path

import torch
from gguf import GGUFReader
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import logging

_SPECIAL = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}


def convert(*, file: Path, folder: Path) -> None:
    """Write model and tokenizer of a GGUF file into a folder.

    Raises:
        ValueError: A weight is not finite, or the model has another vocabulary than the tokenizer: verl would mask
            the rest of it in sampling alone, and the two would disagree on every log-probability.
    """
    ids = _special_ids(file)
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    for name, index in ids.items():
        setattr(tokenizer, f"{name}_token", tokenizer.convert_ids_to_tokens(index))
    tokenizer.clean_up_tokenization_spaces = False  # it would delete spaces before punctuation on decoding
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    if model.config.vocab_size != len(tokenizer):
        raise ValueError(f"the model has {model.config.vocab_size} tokens, its tokenizer {len(tokenizer)}")
    for name, weights in model.named_parameters():
        if not torch.isfinite(weights).all():
            raise ValueError(f"{name} has weights that are not finite")
    known = {f"{name}_token_id": index for name, index in ids.items() if name != "unk"}
    model.config.update(known)
    model.generation_config = GenerationConfig(**known)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


def _special_ids(file: Path) -> dict[str, int]:
    """Name of a special token, as transformers has it, to its id; those that the file names."""
    fields = GGUFReader(file).fields
    keys = {name: f"tokenizer.ggml.{key}_token_id" for name, key in _SPECIAL.items()}
    return {name: int(fields[key].contents()) for name, key in keys.items() if key in fields}


if __name__ == "__main__":
    logging.disable_progress_bar()
    convert(file=Path(sys.argv[1]), folder=Path(sys.argv[2]))
