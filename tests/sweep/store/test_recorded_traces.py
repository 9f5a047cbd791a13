"""Log ratios of trials whose loss has no filter are read back, compared with their log and replayed like any other."""

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from iskpo.settings import KPO_BOUNDS
from sweep.arms.arm import Arm
from sweep.commands.replay_options import grid_request
from sweep.commands.replay_study import check_summary, check_trials, replay_study
from sweep.store.recorded_traces import KeptTraces, keep_traces, recorded_trials
from tests.sweep.recorded_study import record_study


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_study(tmp_path_factory.mktemp("recorded"), trials=3, neighbours=2)


def test_a_trial_without_a_filter_is_read_with_kpos_bounds(output: Path) -> None:
    first, second, third = recorded_trials(output=output, only=[])
    assert first.settings is not None
    assert second.settings is third.settings is None
    assert (second.eps_low, second.eps_high) == KPO_BOUNDS
    assert second.traces.old_log_prob is not None
    assert second.traces.tokens > 100


def test_its_log_is_reproduced_to_the_last_bit(output: Path) -> None:
    trials = recorded_trials(output=output, only=["a1_s0", "a2_s0"])
    check = check_trials(trials)
    assert set(check["metric"]) == {"actor/ppo_kl"}
    assert len(check) == 4
    assert check["equal"].all()
    assert "reproduced to the last bit (4 complete steps of 2 of 2 trials)" in check_summary(check, trials=2)
    # It is these log ratios that do it.
    trials[0].traces.z[np.flatnonzero(~np.isnan(trials[0].traces.z))[0]] += 1e-3
    assert check_trials(trials)["equal"].tolist() == [False, True, True, True]


def test_it_is_replayed_under_any_filter(output: Path, tmp_path: Path) -> None:
    request = grid_request(grid="3x3", gain=None, threshold=None)
    pooled = replay_study(output=output, folder=tmp_path, request=request, only=["a1_s0"], console=Console(quiet=True))
    assert len(pooled) == 9
    assert pooled["clip_fraction"].max() > 0.1 > pooled["clip_fraction"].min()
    keep_traces(output=tmp_path, source=output, only=["a2_s0"])
    metrics = KeptTraces.load(tmp_path).metrics(Arm(name="a", q=1e-2, v=1e-2, kappa=1.0))
    assert metrics["kalman/clipped_tokens"] > 0
