"""What verl imports in every process of a training job, through its ``verl.plugins`` entry point.

verl swallows an error raised here and goes on without the loss, so `sweep` checks `LOADED` before it starts a trial.
"""

import os

from iskpo.verl import loss, transfer_queue_namespace, vllm_version

CPU_PLATFORM = "cpu"

if os.environ.get("VERL_PLATFORM", "").lower() == CPU_PLATFORM:
    # Not decided by torch.cuda.is_available(): on a GPU machine verl also starts processes that see no GPU.
    from iskpo.verl import cpu_platform

    vllm_version.answer_for_cpu_build()
    cpu_platform.install()

transfer_queue_namespace.install()
loss.register()
LOADED = True
