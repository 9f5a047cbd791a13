"""Compile the CPU kernels and keep them beside their sources: `python -m iskpo.precompile`, part of the set-up.

Else the first training step of a new installation would wait for the compiler, on top of verl's and vLLM's start.
"""

import torch

from iskpo import InnovationSummary, filter_log_ratios
from iskpo.innovation_moments import moments_by_class


def precompile() -> None:
    """Run every kernel of a training step once, on the type that verl trains in."""
    z, mask = torch.zeros(2, 3, requires_grad=True), torch.ones(2, 3)
    filtered = filter_log_ratios(z, mask, q=1.0, v=1.0)
    InnovationSummary.from_filter(filtered, mask)
    moments_by_class(filtered, mask, z)
    torch.autograd.grad(filter_log_ratios(z, mask, q=1.0, v=1.0, gradient="through").rho.sum(), z)
    for estimator in ("huber", "mad"):
        filter_log_ratios(z, mask, q=1.0, v=1.0, kappa=1.0, estimator=estimator)


if __name__ == "__main__":
    precompile()
