"""The only place that knows verl and vLLM.

verl finds `plugin` in every process (entry point ``verl.plugins``), vLLM `vllm_cpu` (``vllm.general_plugins``).
"""
