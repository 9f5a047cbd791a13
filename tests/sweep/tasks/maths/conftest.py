from collections.abc import Iterator

import pytest

from sweep.tasks.maths.grader import Grader
from sweep.tasks.maths.grading_process import Limits


@pytest.fixture(scope="session")
def grader() -> Iterator[Grader]:
    """A grader with a short limit, for answers that reach it; what the other tests ask takes a fraction of it."""
    with Grader(limits=Limits(cpu_seconds=1.0), processes=2) as shared:
        yield shared
