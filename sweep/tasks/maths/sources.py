"""The published data sets: where each is, which revision, and what tells that a file holds it.

Revisions and checksums of the files are those of the hub; `answers_sha256` recognises a copy whose wording or file
format differs, since the answers of a competition do not (`sweep.tasks.maths.problems.answers_digest`).
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Source:
    """One data set.

    Attributes:
        name: Its name here: of the benchmark in verl's rows, in metrics and in the report.
        split: ``train`` or ``test``.
        hub_id: Repository on the Hugging Face hub.
        revision: Commit of it.
        file: Path in it.
        file_sha256: Checksum of that file.
        rows: Rows of that file.
        problems: Fewest and most distinct problems that a copy of the set may hold.
        answers_sha256: See the module; None where the answers of a copy depend on how it was made.
    """

    name: str
    split: Literal["train", "test"]
    hub_id: str
    revision: str
    file: str
    file_sha256: str
    rows: int
    problems: tuple[int, int]
    answers_sha256: str | None = None


TRAINING = Source(
    name="dapo-math-17k",
    split="train",
    hub_id="BytedTsinghua-SIA/DAPO-Math-17k",
    revision="65877096c24ffa7abc4e4fa5edb95cf3413a5674",
    file="data/dapo-math-17k.parquet",
    file_sha256="534375d6bb8630d22ab46a56e11f2ffec1d288d8f7d04099bc82d68948705941",
    rows=1_791_700,  # 17,917 logical rows a hundred times over; some differ by their identifier alone
    problems=(17_000, 17_917),  # copies count 17,391 to 17,405 distinct problems, by how white space is treated
)

BENCHMARKS = (
    Source(
        name="math-500",
        split="test",
        hub_id="HuggingFaceH4/MATH-500",
        revision="6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
        file="test.jsonl",
        file_sha256="35dc41080a3680858b27fa7e0533d2d547825316fc5dafe5d316f4ccc5a06132",
        rows=500,
        problems=(500, 500),
        answers_sha256="51e4c9cc979cb2d3c5bf5731bd1feae32f7a024ea58438080f222f71503ff263",
    ),
    Source(
        name="aime-2024",
        split="test",
        hub_id="HuggingFaceH4/aime_2024",
        revision="2fe88a2f1091d5048c0f36abc874fb997b3dd99a",
        file="data/train-00000-of-00001.parquet",
        file_sha256="26139847601a5037c237d5928b195e7260ca8074cf4f264b794af42847f79ccf",
        rows=30,
        problems=(30, 30),
        answers_sha256="26b2e319e14bdec51519f4cbb0a47ad57a80751c03b39c937514c67994cea9f2",
    ),
    Source(
        name="aime-2025",
        split="test",
        hub_id="math-ai/aime25",
        revision="563bb8404243c5f09de6ec262f2db674fe5bce9b",
        file="test.jsonl",
        file_sha256="b4e273c02d3e7fe1b74b59eae768fc8230bfb0f79539890cb56f4361caac0331",
        rows=30,
        problems=(30, 30),
        answers_sha256="a0239316151158f3806ad95fec73b0b2189857a41968a29ef2f334aaef4fd367",
    ),
)

SOURCES = {source.name: source for source in (TRAINING, *BENCHMARKS)}
