"""What verl imports in every process of a training job, through its ``verl.plugins`` entry point.

verl swallows an error raised here and goes on without the loss, so `sweep` checks `LOADED` before it starts a trial.
"""

import os
from types import ModuleType

import wrapt

from iskpo.verl.patches import start_up, transfer_queue_namespace, vllm_version, weight_sending

if os.environ.get("VERL_PLATFORM", "").lower() == "cpu":
    # Not decided by torch.cuda.is_available(): on a GPU machine verl also starts processes that see no GPU.
    from iskpo.verl.patches import cpu_platform

    vllm_version.answer_for_cpu_build()
    cpu_platform.install()


def _register_losses(_: ModuleType) -> None:
    from iskpo.verl import gmpo, loss  # noqa: F401


def _all_log_probs_at_once(module: ModuleType) -> None:
    from iskpo.verl.patches import log_probs

    log_probs.install(module)


start_up.without_sklearn()
start_up.without_hccl()
transfer_queue_namespace.install()
# When verl loads its own losses, and not before: that import takes seconds, and most of verl's processes never train.
wrapt.register_post_import_hook(_register_losses, "verl.trainer.ppo.core_algos")
wrapt.register_post_import_hook(_all_log_probs_at_once, "verl.utils.torch_functional")
wrapt.register_post_import_hook(weight_sending.look_while_waiting, "verl.workers.rollout.vllm_rollout.vllm_rollout")
wrapt.register_post_import_hook(weight_sending.receive_at_own_socket, "verl.workers.rollout.vllm_rollout.utils")
wrapt.register_post_import_hook(weight_sending.through_shared_memory, "verl.plugin.platform.platform_cuda")
LOADED = True
