"""verl's real sender and receiver of weights, with a Ray actor in vLLM's place that takes them or fails."""

import subprocess
import sys

import pytest

# In a process of its own: the plug-in decides by the environment, and vLLM's import takes long enough once.
_SENDING = """
import asyncio, os, sys, time, uuid
import ray, torch
import verl
from types import SimpleNamespace
from verl.workers.rollout.vllm_rollout.vllm_rollout import ServerAdapter

# Not the cluster of another test in the process that starts this one.
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
# Larger than the buffer together, so that they take several turns.
weights = {f"w{i}": torch.randn(300_000) for i in range(4)}

@ray.remote
class Server:
    def __init__(self, handle):
        self.handle, self.taken = handle, {}

    async def collective_rpc(self, method, timeout=None, args=(), kwargs=None):
        assert method == "update_weights_from_ipc" and kwargs["use_shm"]
        if self.handle == "refuse":
            await asyncio.sleep(1)
            raise RuntimeError("CUDA IPC is refused here")
        from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightReceiver

        receiver = BucketedWeightReceiver(zmq_handle=self.handle, device=torch.device("cpu"), use_shm=True)

        def take(bucket, is_last):
            if len(self.taken) > 1 and self.fail:
                raise RuntimeError("vLLM is out of memory")
            self.taken.update((name, tensor.clone()) for name, tensor in bucket)

        receiver.receive_weights(take)

    def should_fail(self, fail):
        self.fail, self.taken = fail, {}

    def refuse(self):
        self.handle = "refuse"

    def clear_kv_cache(self): pass
    def set_global_steps(self, step): pass
    def bytes(self): return {name: tensor.numpy().tobytes() for name, tensor in self.taken.items()}

handle = f"ipc:///tmp/iskpo-test-{uuid.uuid4().hex[:12]}.sock"
adapter = ServerAdapter.__new__(ServerAdapter)
adapter.config = SimpleNamespace(checkpoint_engine=SimpleNamespace(update_weights_bucket_megabytes=2))
adapter.zmq_handle, adapter.use_shm, adapter._has_server = handle, True, True
adapter.replica_rank = adapter.rollout_rank = 0
adapter.server_handle = server = Server.remote(handle)

def update():
    asyncio.run(adapter.update_weights(iter(weights.items()), global_steps=1))

ray.get(server.should_fail.remote(False))
update()
assert ray.get(server.bytes.remote()) == {name: tensor.numpy().tobytes() for name, tensor in weights.items()}
said = []
for prepare in (lambda: server.should_fail.remote(True), server.refuse.remote):
    ray.get(prepare())
    began = time.monotonic()
    try:
        update()
    except ray.exceptions.RayError as error:
        said.append(str(error))
    assert time.monotonic() - began < 60
print(["vLLM is out of memory" in said[0], "CUDA IPC is refused here" in said[1]])
"""


def _run(code: str, **environment: str) -> str:
    import os

    clean = {name: value for name, value in os.environ.items() if not name.startswith(("VERL_", "ISKPO_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**clean, **environment}, timeout=400
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1]


def test_what_vllm_raises_ends_the_sending() -> None:
    # Not the last line alone: verl's receiver cannot close its shared memory while an error holds parts of it.
    assert _run(_SENDING, VERL_PLATFORM="cpu") == "[True, True]"


@pytest.mark.parametrize(("value", "supported"), [("0", "False"), ("1", "True"), (None, "True")])
def test_a_profile_chooses_shared_memory(value: str | None, supported: str) -> None:
    code = "import verl; from verl.utils.device import is_support_ipc; print(is_support_ipc())"
    chosen = {} if value is None else {"ISKPO_CUDA_IPC": value}
    assert _run(code, VERL_PLATFORM="nvidia", **chosen) == supported
