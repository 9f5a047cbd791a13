"""Traces as verl's own loss function makes them: whose sequence, which update, and the very numbers of the loss."""

import math
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from verl.utils import tensordict_utils as tu

from iskpo.innovation_moments import FIELDS
from iskpo.replay.logged_statistics import statistics_of_steps
from iskpo.replay.traces import StepTrace, read_traces, write_traces
from iskpo.settings import FilterSettings
from iskpo.verl import recorder, tracing
from iskpo.verl.config import KalmanPolicyLossConfig
from iskpo.verl.names import LOSS_MODE

PARAMETERS = {"q": 1e-4, "v": 1e-2, "kappa": 1.0}


class _Config(SimpleNamespace):
    def get(self, name: str, default: Any = None) -> Any:
        return getattr(self, name, default)


def _samples(count: int, seed: int) -> list[dict[str, Any]]:
    """What the agent loop and the trainer put together for each sample; the first token of every second is a hole."""
    random = torch.Generator().manual_seed(seed)
    samples = []
    for number in range(count):
        length = int(torch.randint(2, 9, (), generator=random))
        mask = torch.ones(length, dtype=torch.int64)
        mask[0] = number % 2
        old = -torch.rand(length, generator=random)
        scores = torch.zeros(length)
        scores[-1] = number / 4
        samples.append(
            {
                "prompts": torch.arange(3 + number % 2),
                "responses": torch.arange(length),
                "response_mask": mask,
                "old_log_probs": old,
                "new_log_probs": old + 0.1 * torch.randn(length, generator=random),
                "advantages": torch.randn((), generator=random).expand(length).clone(),
                "rm_scores": scores,
                "index": number // 2,
                "session_id": number % 2,
                "extra_info": {"index": number // 2, "problem_id": f"problem {number // 2}"},
            }
        )
    return samples


def _run(samples: list[dict[str, Any]], *, mini_batch: int, micro_batch: int, mode: str = LOSS_MODE) -> None:
    """The loss over one step, cut into updates and micro-batches by verl's own functions."""
    config = _Config(
        policy_loss=KalmanPolicyLossConfig(**PARAMETERS, loss_mode=mode),
        clip_ratio=0.2,
        clip_ratio_low=0.0003,
        clip_ratio_high=0.0004,
        clip_ratio_c=3.0,
        tau_pos=1.0,
        tau_neg=1.05,
        global_batch_info={},
        loss_scale_factor=None,
        loss_agg_mode="seq-mean-token-mean",
        use_kl_loss=False,
    )
    data = tu.list_of_dict_to_tensordict(samples)
    for update in tu.make_iterator(data, mini_batch_size=mini_batch, epochs=1):
        tracing.begin_update()
        for batch in tu.chunk_tensordict(update, mini_batch // micro_batch):
            tu.assign_non_tensor(batch, dp_size=1, batch_num_tokens=None, global_batch_size=mini_batch)
            tracing.traced_ppo_loss(config, {"log_probs": _model_output(batch)}, batch)


def _model_output(batch: TensorDict) -> torch.Tensor:
    """Log-probabilities over prompt and response, one token early, as a model returns them."""
    rows = []
    for prompt, values in zip(batch["prompts"].unbind(), batch["new_log_probs"].unbind(), strict=True):
        rows.append(torch.cat([torch.full((len(prompt) - 1,), 9.0), values, torch.full((1,), 9.0)]))
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def _taken(
    samples: list[dict[str, Any]], *, capacity: int = 100, rank: int = 0, mode: str = LOSS_MODE
) -> tuple[StepTrace, recorder.StepRecord]:
    recorder.collect()
    tracing.begin_trial(capacity=capacity, seed=7, rank=rank)
    tracing.begin_step()
    _run(samples, mini_batch=4, micro_batch=2, mode=mode)
    trace = tracing.take()
    tracing.begin_trial(capacity=0, seed=0, rank=0)
    assert (trace is not None) == (capacity > 0)
    return trace or StepTrace([], 0), recorder.collect()


def test_every_sequence_keeps_its_owner_and_its_numbers() -> None:
    samples = _samples(12, seed=0)
    trace, _ = _taken(samples)
    assert trace.seen == len(trace.sequences) == 12
    by_place = {(s.update, s.micro_batch, s.row): s for _, s in trace.sequences}
    assert sorted(by_place) == [(update, micro, row) for update in range(3) for micro in range(2) for row in range(2)]
    for (update, micro, row), sequence in by_place.items():
        sample = samples[4 * update + 2 * micro + row]
        assert sequence.problem_id == sample["extra_info"]["problem_id"]
        assert sequence.sample == sample["session_id"]
        assert sequence.reward == float(sample["rm_scores"].sum())
        z = (sample["new_log_probs"] - sample["old_log_probs"]).numpy()
        expected = np.where(sample["response_mask"].numpy() == 1, z, np.nan)
        np.testing.assert_array_equal(sequence.z, expected)
        old = np.where(np.isnan(expected), np.nan, sample["old_log_probs"].numpy())
        np.testing.assert_array_equal(sequence.old_log_prob, old)


@pytest.mark.parametrize("estimator", ["clip", "saturated", "huber", "uncertainty"])
def test_a_complete_trace_replays_to_the_logged_statistics_to_the_last_bit(
    estimator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PARAMETERS, "estimator", estimator)
    parts, records = [], []
    for rank in range(2):
        trace, record = _taken(_samples(12, seed=rank), rank=rank)
        parts.append(trace)
        records.append(record)
    merged = recorder.StepRecord()
    for record in records:
        merged.add(record)
    logged = merged.as_metrics()
    write_traces(tmp_path / "step.parquet", step=5, trace=parts[0].merge(parts[1], capacity=100))
    traces = read_traces([tmp_path / "step.parquet"])
    assert traces.complete
    found = statistics_of_steps(traces, settings=FilterSettings(**PARAMETERS))
    assert list(found) == [5]
    assert found[5] == {name: logged[name] for name in found[5]}
    assert found[5]["kalman/clipped_tokens"] > 0
    assert {"kalman/tokens", "kalman/gain_mean", "innovation/max_abs", "innovation/kurtosis"} <= set(found[5])
    updates = {f"innovation/update_{update}/{name}" for update in range(3) for name in ("std", "max_abs", "kurtosis")}
    assert updates | {"innovation/nis", "innovation/kurtosis_within", "innovation/kurtosis_between"} <= set(found[5])
    # It is the trial's parameters that do it.
    assert statistics_of_steps(traces, settings=FilterSettings(**PARAMETERS | {"q": 2e-4}))[5] != found[5]


@pytest.mark.parametrize("mode", ["vanilla", "gmpo", "dppo_tv", "dppo_kl"])
def test_log_ratios_of_every_other_loss_are_kept_and_give_its_divergence_back(mode: str, tmp_path: Path) -> None:
    samples = _samples(12, seed=0)
    own, _ = _taken(samples)
    trace, record = _taken(samples, mode=mode)
    assert trace.seen == len(trace.sequences) == 12
    for (_, expected), (_, found) in zip(own.sequences, trace.sequences, strict=True):
        assert (found.problem_id, found.update, found.row) == (expected.problem_id, expected.update, expected.row)
        np.testing.assert_array_equal(found.z, expected.z)
        np.testing.assert_array_equal(found.old_log_prob, expected.old_log_prob)
    metrics = record.as_metrics()
    assert set(metrics) == {
        f"loss/mode/{mode}", "loss/rollout_correction/none", "loss/clip_low", "loss/clip_high", "loss/outside_share",
        "actor/ppo_kl",
    }  # fmt: skip
    write_traces(tmp_path / "step.parquet", step=1, trace=trace)
    traces = read_traces([tmp_path / "step.parquet"])
    assert statistics_of_steps(traces, settings=None) == {1: {"actor/ppo_kl": metrics["actor/ppo_kl"]}}
    z = traces.z[~np.isnan(traces.z)].astype(np.float64)
    assert metrics["actor/ppo_kl"] == pytest.approx(-z.mean(), rel=1e-9)


def test_what_the_loss_was_given_for_the_mismatch_is_told_by_its_data() -> None:
    for given, word in (("rollout_is_weights", "weights"), ("same", "bypass"), ("other", "none"), ("", "none")):
        samples = _samples(4, seed=6)
        for sample in samples:
            old = sample["old_log_probs"]
            if given == "rollout_is_weights":
                sample[given] = torch.ones_like(old)
            elif given:
                sample["rollout_log_probs"] = old.clone() if given == "same" else old + 1e-7
        recorder.collect()
        _run(samples, mini_batch=4, micro_batch=2)
        metrics = recorder.collect().as_metrics()
        assert {name for name in metrics if name.startswith("loss/rollout_correction/")} == {
            f"loss/rollout_correction/{word}"
        }


@pytest.mark.parametrize("traced", [True, False])
def test_innovations_belong_to_the_update_and_class_they_were_seen_in(traced: bool) -> None:
    samples = _samples(12, seed=2)
    _, record = _taken(samples, capacity=100 if traced else 0)
    z = [(s["new_log_probs"] - s["old_log_probs"])[s["response_mask"] == 1] for s in samples]
    old = [s["old_log_probs"][s["response_mask"] == 1] for s in samples]
    assert sorted(record.by_update) == [0, 1, 2]
    for update, moments in record.by_update.items():
        rows = range(4 * update, 4 * update + 4)
        chances = torch.cat([old[row] for row in rows]).exp()
        counts = [((low <= chances) & (chances < high)).sum() for low, high in pairwise((0, 0.5, 0.9, 0.99, 2))]
        assert moments[:, 0].tolist() == counts
        # A filter by hand, from P_0 = 0.
        largest = 0.0
        for row in rows:
            rho = p = 0.0
            for value in z[row].tolist():
                p += PARAMETERS["q"]
                sigma = math.sqrt(p + PARAMETERS["v"])
                largest = max(largest, abs(value - rho))
                rho += p / sigma**2 * max(-sigma, min(sigma, value - rho))
                p *= PARAMETERS["v"] / sigma**2
        assert moments[:, FIELDS.index("max_abs")].max() == pytest.approx(largest, rel=1e-5)


def test_a_sampled_step_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    trace, _ = _taken(_samples(12, seed=3), capacity=5)
    assert (len(trace.sequences), trace.seen) == (5, 12)
    write_traces(tmp_path / "step.parquet", step=1, trace=trace)
    traces = read_traces([tmp_path / "step.parquet"])
    assert not traces.complete
    assert statistics_of_steps(traces, settings=FilterSettings(**PARAMETERS)) == {}


def test_sequences_without_a_token_are_no_sequences() -> None:
    samples = _samples(8, seed=4)
    samples[3]["response_mask"][:] = 0
    trace, record = _taken(samples)
    assert trace.seen == 7
    assert record.innovations.sequences == 7


@pytest.mark.parametrize("steps", [1, 2])
def test_a_step_begins_with_nothing(steps: int) -> None:
    tracing.begin_trial(capacity=3, seed=1, rank=0)
    for step in range(steps):
        tracing.begin_step()
        _run(_samples(4, seed=step), mini_batch=4, micro_batch=4)
    trace = tracing.take()
    tracing.begin_trial(capacity=0, seed=0, rank=0)
    assert trace is not None
    assert trace.seen == 4
    assert {s.update for _, s in trace.sequences} == {0}
    assert tracing.take() is None
    recorder.collect()


def test_the_loss_that_verl_called_and_its_bounds_are_echoed_whichever_it_is() -> None:
    recorder.collect()
    tracing.begin_trial(capacity=0, seed=0, rank=0)
    for mode in (LOSS_MODE, "geo_mean"):
        _run(_samples(8, seed=1), mini_batch=4, micro_batch=2, mode=mode)
        metrics = recorder.collect().as_metrics()
        assert {name for name in metrics if name.startswith("loss/mode/")} == {f"loss/mode/{mode}"}
        assert (metrics["loss/clip_low"], metrics["loss/clip_high"]) == (0.0003, 0.0004)
        assert ("kalman/q" in metrics) == (mode == LOSS_MODE)
