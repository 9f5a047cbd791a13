"""Study files for tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

VALID = """\
name: example
space:
  kind: grid
  q: [1e-6, 1e-2]
  v: [1]
  kappa: [inf, 3]
steps: 2
"""


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[..., Path]:
    """Write a study file; without text, a valid one; `replace` swaps parts of it that must be there."""

    def write(text: str = VALID, *, replace: dict[str, str] | None = None, name: str = "study.yaml") -> Path:
        for old, new in (replace or {}).items():
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write
