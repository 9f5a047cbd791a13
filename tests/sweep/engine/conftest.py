"""A clock for tests of the engine's view."""

import time

import pytest


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is moved, in seconds."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += seconds

    return move
