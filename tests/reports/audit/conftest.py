"""Files of reported numbers for tests: the paper's, and small ones of other people."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reports.audit import Reported, Row, audit, load_reported

PAPER = Path(__file__).parents[3] / "studies" / "paper" / "reported.yaml"


@pytest.fixture(scope="session")
def paper() -> Reported:
    """The paper's tables."""
    return load_reported(PAPER)


@pytest.fixture(scope="session")
def paper_rows(paper: Reported) -> list[Row]:
    """The audit of the paper's tables."""
    return audit(reported=paper)


@pytest.fixture
def rows_of(tmp_path: Path) -> Callable[[str], list[Row]]:
    """Audit a text."""

    def run(text: str) -> list[Row]:
        path = tmp_path / "reported.yaml"
        path.write_text(f"title: A table\n{text}", encoding="utf-8")
        return audit(reported=load_reported(path))

    return run
