"""Environment variables that keep a study on its machine and its text whole; processes started from here inherit them.

`QUIET` holds for every process that imports `sweep`: nothing about a study is sent anywhere unless the user asks for
it. `LOOPBACK` holds for a Ray cluster started here: whatever listens does so on 127.0.0.1, where other machines cannot
reach it. That matters because Ray and verl's TransferQueue unpickle what arrives, so whoever reaches a port runs code
as the user. A cluster of the user's own has its own network (`docs/cluster.md`).
"""

import os

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray's usage statistics
    "VLLM_NO_USAGE_STATS": "1",  # vLLM's
    "MLFLOW_DISABLE_TELEMETRY": "true",  # MLflow's, of its client as of its server
    "HF_HUB_DISABLE_TELEMETRY": "1",  # Hugging Face's user agent and events
    "DO_NOT_TRACK": "1",  # the common word, which several of them and their dependencies read
    "WANDB_MODE": "disabled",  # verl imports it where it is installed
}
# verl writes answers in the locale's encoding, which may not have their characters.
TEXT = {"PYTHONUTF8": "1"}
LOOPBACK = {
    # Ray 2.60 reads it when it is imported: "0" makes 127.0.0.1 the node's address, as on a Mac.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "GLOO_SOCKET_IFNAME": "lo",
    "NCCL_SOCKET_IFNAME": "lo",
    "VLLM_HOST_IP": "127.0.0.1",
}


def prepare_environment() -> None:
    """Set what `QUIET` and `TEXT` list, where the user has not said otherwise."""
    for name, value in (QUIET | TEXT).items():
        os.environ.setdefault(name, value)
