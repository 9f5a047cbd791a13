r"""What a study will take: from trials that ran on the same profile, or else from sizes alone.

From sizes, the floating-point work of a trial is, with N parameters and S = prompts x samples sequences a step of P + L
tokens (prompt and response),

.. math:: W = 2N \cdot \big[\text{steps}\, S (P + L)(1 + 3 + c) + \text{evaluations}\, E\, k\, (P + L)\big],

since a forward pass takes 2N a token: one for the log probabilities of the policy that sampled, three for forward and
backward, c = 1 where activations are computed again. Sampling reads every weight once for each token of a batch of B
sequences, so it takes no less than :math:`2N L S / (B \cdot \text{bandwidth})` seconds in bfloat16 for a step, and
likewise for an evaluation. Attention, the vocabulary's logits, moving weights and waiting for the longest response are
not counted, but are what utilisation is for. (Kaplan et al. 2020, arXiv 2001.08361, section 2.1, for 2N.)

The range is that of response length and of utilisation. It is an order of magnitude and no promise.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sweep.input.errors import UserError
from sweep.profiles.profile import CostModel, Profile
from sweep.study.plan import number_of_trials
from sweep.study.study import Study

# Shares of peak arithmetic and of peak bandwidth that training and sampling of models this size reach, low and high.
_ARITHMETIC, _BANDWIDTH = (0.15, 0.40), (0.20, 0.50)
_PROMPT_TOKENS = 200
_START_UP_HOURS = 0.1


@dataclass(frozen=True)
class CostEstimate:
    """Hours of a whole study.

    Attributes:
        low: The fewest.
        high: The most.
        unit: ``GPU-hours`` or ``hours``.
        basis: What it is computed from, in a sentence.
    """

    low: float
    high: float
    unit: str
    basis: str

    def __str__(self) -> str:
        """One line for people."""
        return f"Cost: {self.low:.2g} to {self.high:.2g} {self.unit}. {self.basis}"

    def as_json(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def estimate_cost(*, study: Study, profile: Profile, like: Path | None = None) -> CostEstimate | None:
    """Estimate, or None where there is nothing to estimate from.

    Args:
        study: The study.
        profile: Its profile.
        like: Folder of a study that ran on the same profile; its trials' times are then what counts.

    Raises:
        UserError: That study has no finished trial, or ran on another profile.
    """
    if study.trial.is_replay:
        return None
    if like is not None:
        return _from_times(study=study, profile=profile, folder=like)
    return None if profile.cost is None else _from_sizes(study=study, profile=profile, cost=profile.cost)


def checkpoints_gb(study: Study, profile: Profile) -> float:
    """Disk space of a study's checkpoints, 10^9 bytes: in each slot one that is written, and the one before it."""
    return 0.0 if study.trial.is_replay else study.slots * profile.with_checkpoint(study.checkpoint).checkpoints_gb


def checkpoints_in_words(study: Study, profile: Profile) -> str:
    """When training is saved and what that takes, in a sentence; "" for never."""
    if not (needed := checkpoints_gb(study, profile)):
        return ""
    every = profile.with_checkpoint(study.checkpoint).checkpoint.every
    steps = "step" if every == 1 else f"{every} steps"
    return f"A checkpoint every {steps} takes up to {needed:.3g} GB of disk in the output folder while the study runs."


def _from_sizes(*, study: Study, profile: Profile, cost: CostModel) -> CostEstimate:
    trials, evaluations = number_of_trials(study), _evaluations(study)
    hours = [
        trials * _trial_seconds(study, profile, cost, evaluations, end) / 3600
        + study.slots * profile.ray.slot_gpus * _START_UP_HOURS
        for end in (0, 1)
    ]
    short, long = cost.response_tokens
    return CostEstimate(
        low=hours[0],
        high=hours[1],
        unit="GPU-hours",
        basis=(
            f"Computed for {cost.gpu} from sizes, not measured: responses of {short:,} to {long:,} tokens, "
            f"{_ARITHMETIC[0]:.0%} to {_ARITHMETIC[1]:.0%} of its arithmetic and {_BANDWIDTH[0]:.0%} to "
            f"{_BANDWIDTH[1]:.0%} of its memory's bandwidth in use."
        ),
    )


def _trial_seconds(study: Study, profile: Profile, cost: CostModel, evaluations: int, end: int) -> float:
    """GPU-seconds of a trial, the fewest (0) or the most (1)."""
    arithmetic, bandwidth = _ARITHMETIC[1 - end], _BANDWIDTH[1 - end]
    response = cost.response_tokens[end]
    prompts, samples = (int(profile.verl[name]) for name in ("data.train_batch_size", "actor_rollout_ref.rollout.n"))
    trained = study.steps * prompts * samples
    judged = evaluations * cost.evaluation_problems * study.eval.samples
    again = 1 if profile.verl.get("actor_rollout_ref.model.enable_gradient_checkpointing") else 0
    work = 2 * cost.parameters * (_PROMPT_TOKENS + response) * (trained * (1 + 3 + again) + judged)
    batch = int(profile.verl["actor_rollout_ref.rollout.max_num_seqs"])
    read = 2 * cost.parameters * response * (trained + judged) / batch
    sampled = 2 * cost.parameters * response * trained
    return (work + sampled) / (cost.teraflops * 1e12 * arithmetic) + read / (cost.gigabytes_a_second * 1e9 * bandwidth)


def _evaluations(study: Study) -> int:
    """How often a trial is evaluated: every so many steps, and after the last."""
    every = study.eval.every
    return 1 if every is None else len({*range(every, study.steps + 1, every), study.steps})


def _from_times(*, study: Study, profile: Profile, folder: Path) -> CostEstimate:
    from sweep.store.mlflow_tables import recorded_runs
    from sweep.store.resumption import kept_profile

    if (ran := kept_profile(folder)) != profile.name:
        raise UserError(f"--like {folder}: that study ran on profile {ran!r}, this one is to run on {profile.name!r}")
    times = sorted(
        run.seconds / run.step
        for run in recorded_runs(folder)
        if run.state == "finished" and run.step > 0 and run.seconds is not None
    )
    if not times:
        raise UserError(f"--like {folder}: no trial of it has finished, so there are no times to go by")
    trials = number_of_trials(study)
    low, high = (trials * study.steps * seconds / study.slots / 3600 for seconds in (times[0], times[-1]))
    return CostEstimate(
        low=low,
        high=high,
        unit="hours",
        basis=(
            f"From {len(times)} finished trials in {folder}, {times[0]:.3g} to {times[-1]:.3g} s a step with "
            f"evaluation and start-up, {study.slots} at a time. It holds for evaluations of the same size."
        ),
    )
