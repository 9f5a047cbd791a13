r"""Make the small model: a tokenizer of the training set's words, and some steps of teaching it ``\boxed{answer}``.

Started as ``python -m sweep.tasks.maths.teach_form ROWS FOLDER`` by `sweep.tasks.maths.small_model`.
"""

import random
import sys
from pathlib import Path

import pandas as pd
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from sweep.tasks.arithmetic.model import build_model
from sweep.tasks.arithmetic.threads import single_thread

VOCABULARY = 1024
# Qwen's own marks: verl looks for them by the model's type.
PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
POSITIONS = 4096
STEPS, BATCH, RATE = 60, 16, 3e-3
# A problem's end, where the instruction stands; teaching looks no further back.
_CONTEXT = 128
_SEED = 20260823
_IGNORED = -100


def build_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte pairs of these texts: no text lacks a token, and common pieces take one."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    specials = [PAD, START, END]
    backend.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=specials,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START],
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def teach_form(
    *, model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: list[str], answers: list[str]
) -> float:
    """Train in place on batches of problems' ends and boxed answers; the mean loss of the last ten steps, in nats."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    order = random.Random(_SEED)
    losses = []
    model.train()
    with single_thread():
        for step in range(STEPS):
            rows = [
                _row(tokenizer, prompts[which], answers[which]) for which in order.choices(range(len(prompts)), k=BATCH)
            ]
            width = max(len(tokens) for tokens, _ in rows)
            tokens = torch.full((BATCH, width), tokenizer.pad_token_id)
            targets = torch.full((BATCH, width), _IGNORED)
            for row, (ids, start) in enumerate(rows):
                tokens[row, : len(ids)] = torch.tensor(ids)
                targets[row, start : len(ids)] = tokens[row, start : len(ids)]
            for group in optimizer.param_groups:
                group["lr"] = RATE * min((step + 1) / 10, 1 - step / STEPS)
            logits = model(input_ids=tokens[:, :-1], use_cache=False).logits
            loss = cross_entropy(logits.flatten(0, 1), targets[:, 1:].flatten(), ignore_index=_IGNORED)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
    model.eval()
    return sum(losses[-10:]) / len(losses[-10:])


def _row(tokenizer: PreTrainedTokenizerFast, prompt: str, answer: str) -> tuple[list[int], int]:
    """Token ids of a problem's end with its answer, and where the answer begins."""
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False
    )
    asked = tokenizer.encode(text, add_special_tokens=False)[-_CONTEXT:]
    said = [*tokenizer.encode(f"\\boxed{{{answer}}}", add_special_tokens=False), tokenizer.eos_token_id]
    return asked + said, len(asked)


def main(rows: Path, folder: Path) -> None:
    """Make the model of these rows and write it into a new folder."""
    table = pd.read_parquet(rows)
    prompts = [messages[0]["content"] for messages in table["prompt"]]
    answers = [model["ground_truth"] for model in table["reward_model"]]
    tokenizer = build_tokenizer([*prompts, *(f"\\boxed{{{answer}}}" for answer in answers)])
    model = build_model(tokenizer=tokenizer, seed=_SEED, positions=POSITIONS)
    teach_form(model=model, tokenizer=tokenizer, prompts=prompts, answers=answers)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
