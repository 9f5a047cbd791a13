r"""Thresholds from the innovations of the training step before, which do not depend on V.

A threshold per batch cannot come from the batch that is being filtered: a loss sees one micro-batch of one rank, and
what it does must not depend on how a batch is cut up. So it comes from the step before, whose statistics have been
merged over micro-batches, updates and ranks, exactly. With x = \|r\|/sigma of that step, innovations are clipped at
kappa' sigma_t, so that sigma cancels, with

- ``batch_mad``: :math:`\kappa' = 1.4826\,\kappa\,\mathrm{median}(x)`,
- ``batch_mean``: :math:`\kappa' = \kappa\,\mathrm{mean}(x)`,
- ``batch_quantile``: :math:`\kappa'` is the quantile of x for the share kappa, 0 < kappa < 1.

All three are read off the histogram of x, whose bins are 6.25 % wide, and so are known to 3.1 %. Nothing is clipped in
a trial's first step, nor after a step whose innovations were all 0.
"""

import math
from dataclasses import replace

from iskpo.innovations import InnovationSummary
from iskpo.settings import BATCH, MAD_SCALE, FilterSettings


def settings_after(settings: FilterSettings, before: InnovationSummary | None) -> FilterSettings:
    """What to filter a step with: ``clip`` at a kappa from the step before; other estimators as they are.

    Args:
        settings: As planned.
        before: Innovations of the step before; None in the first step.
    """
    if settings.estimator not in BATCH:
        return settings
    kappa = math.inf
    if before is not None and before.histogram.tokens:
        histogram = before.histogram
        match settings.estimator:
            case "batch_mad":
                kappa = settings.kappa * MAD_SCALE * histogram.quantile(0.5)
            case "batch_mean":
                kappa = settings.kappa * histogram.mean()
            case "batch_quantile":
                kappa = histogram.quantile(settings.kappa)
    return replace(settings, estimator="clip", kappa=kappa if kappa > 0 else math.inf)
