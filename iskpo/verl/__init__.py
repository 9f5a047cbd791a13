"""The only place that knows verl and vLLM: loss, configuration, trainer, worker, rollout, recorder, session.

Imports all of `iskpo`, verl and vLLM.
"""
