from collections.abc import Iterator

import pytest

from sweep.tasks.maths.grader import Grader
from sweep.tasks.maths.grading_process import Limits


@pytest.fixture(scope="session")
def grader() -> Iterator[Grader]:
    """A grader as it is used."""
    with Grader(processes=2) as shared:
        yield shared


@pytest.fixture(scope="session")
def strict_grader() -> Iterator[Grader]:
    """A grader with a short limit, for answers that would use up any."""
    with Grader(limits=Limits(cpu_seconds=0.4), processes=1) as shared:
        yield shared
