"""What a block sets, removes or fails in, the environment has afterwards as it had it before."""

import contextlib
import os

import pytest

from sweep.engine.environment import environment


def test_it_sets_and_removes_for_the_block_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISKPO_TEST_SET", "old")
    monkeypatch.setenv("ISKPO_TEST_REMOVED", "kept")
    monkeypatch.delenv("ISKPO_TEST_NEW", raising=False)
    before = dict(os.environ)
    with (
        contextlib.suppress(RuntimeError),
        environment(ISKPO_TEST_SET="new", ISKPO_TEST_REMOVED=None, ISKPO_TEST_NEW="here"),
    ):
        seen = dict(os.environ)
        raise RuntimeError
    assert (seen["ISKPO_TEST_SET"], seen["ISKPO_TEST_NEW"]) == ("new", "here")
    assert "ISKPO_TEST_REMOVED" not in seen
    assert dict(os.environ) == before
