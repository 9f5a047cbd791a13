"""A verl training session: configuration, start-up, and one trial after another."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf, open_dict

from iskpo.verl.checkpoint import Checkpointing, training_settings
from iskpo.verl.composition import compose

if TYPE_CHECKING:
    from iskpo.verl.trainer import Listener


class Session:
    """verl and vLLM, kept alive between trials. Must run in a process that is a Ray job of its own."""

    def __init__(self, *, overrides: Mapping[str, Any]) -> None:
        """Compose the configuration; nothing is started yet.

        Args:
            overrides: verl settings shared by all trials of the session.
        """
        self._base = dict(overrides)
        self.config = compose(self._base)

    def start(self) -> None:
        """Start TransferQueue, the policy's workers, vLLM and the agent loops (over a minute on a laptop).

        Nearly all of it is Python importing verl and vLLM in one process after another, so what does not depend on each
        other is started together.
        """
        import transfer_queue

        from iskpo.verl import reservation

        reservation.stay_within()
        with open_dict(self.config):
            self.config.transfer_queue.enable = True
        OmegaConf.resolve(self.config)
        with ThreadPoolExecutor(max_workers=1) as background:
            transfer_queue_started = background.submit(transfer_queue.init, self.config.transfer_queue)
            from verl.trainer.ppo.utils import need_critic, need_reference_policy
            from verl.utils.config import validate_config

            from iskpo.verl.trainer import TrialTrainer

            validate_config(
                config=self.config,
                use_reference_policy=need_reference_policy(self.config),
                use_critic=need_critic(self.config),
            )
            self._trainer = TrialTrainer(config=self.config, transfer_queue_started=transfer_queue_started)
            self._trainer.init()

    def run_trial(
        self,
        *,
        overrides: Mapping[str, Any],
        seed: int,
        listener: "Listener",
        folder: Path,
        checkpoints: Checkpointing,
    ) -> None:
        """Run one trial to its end.

        Args:
            overrides: The trial's verl settings on top of the session's.
            seed: Seed of weights' dropout, data order and sampling.
            listener: What the trial reports to.
            folder: Where the resolved configuration is written, as ``resolved.yaml``.
            checkpoints: How the trial is checkpointed, and what it goes on from.

        Raises:
            CutOff: The command is to end, and the trial has written a checkpoint.
        """
        merged = {**self._base, **overrides}
        config = compose(merged)
        with open_dict(config):
            config.transfer_queue.enable = True
        OmegaConf.resolve(config)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolved.yaml").write_text(OmegaConf.to_yaml(config), encoding="utf-8")
        self._trainer.begin_trial(
            config=config,
            seed=seed,
            listener=listener,
            checkpoints=checkpoints,
            settings=training_settings(merged),
        )
        self._trainer.fit(self._trainer.agent_loops)

    def end_trial_early(self) -> None:
        """Let the trial that runs end after its step, as if that had been its last; called from another thread.

        What follows from it being the last (an evaluation) may be left out.
        """
        # verl looks at this number before each step; the next trial sets it anew with its data.
        self._trainer.total_training_steps = self._trainer.global_steps
