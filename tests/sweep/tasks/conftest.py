from pathlib import Path

import pytest

from sweep.tasks.arithmetic.prepare import PreparedTask, prepare
from sweep.tasks.arithmetic.recipe import Recipe

BRIEF = Recipe(max_steps=3, batch_size=4, warmup_steps=1, head_room_samples=4)


@pytest.fixture(scope="session")
def brief() -> Recipe:
    """The real recipe, cut to three small steps and four samples."""
    return BRIEF


@pytest.fixture(scope="session")
def prepared_cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("task-cache")


@pytest.fixture(scope="session")
def prepared(prepared_cache) -> PreparedTask:
    """Everything that `prepare` makes, with a hardly taught model."""
    return prepare(cache=prepared_cache, recipe=BRIEF)
