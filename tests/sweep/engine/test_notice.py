"""SIGTERM to a study that writes checkpoints, in this process."""

import signal
from pathlib import Path

import pytest

from sweep.engine.notice import Notice
from sweep.store.study_folder import asked_to_stop, notice, owned


def test_the_command_ends_once_every_trial_within_a_step_has_its_checkpoint(tmp_path: Path) -> None:
    given = Notice(output=tmp_path)
    with given.awaited():
        given.steps("a")
        given.steps("b")
        given.rests("b")
        given.steps("b")
        signal.raise_signal(signal.SIGTERM)
        assert notice(tmp_path).exists()
        assert asked_to_stop(tmp_path)
        given.rests("a")
        with pytest.raises(KeyboardInterrupt):
            given.rests("b")


def test_without_a_trial_within_a_step_it_ends_at_once(tmp_path: Path) -> None:
    given = Notice(output=tmp_path)
    with given.awaited(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    assert not notice(tmp_path).exists()


def test_the_second_ends_it_at_once(tmp_path: Path) -> None:
    given = Notice(output=tmp_path)
    with given.awaited():
        given.steps("a")
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


def test_the_handler_before_is_put_back_and_a_new_command_has_no_notice(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    notice(tmp_path).touch()
    with Notice(output=tmp_path).awaited():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
    with owned(tmp_path):
        assert not asked_to_stop(tmp_path)
