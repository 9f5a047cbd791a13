"""Parts of a filter's result, as micro-batches are."""

from iskpo import FilterResult


def rows_of(result: FilterResult, rows: slice | list[int]) -> FilterResult:
    """Some of the sequences."""
    return FilterResult(
        rho=result.rho[rows],
        clipped=result.clipped[rows],
        settings=result.settings,
        find_innovation=lambda: result.innovation[rows],
        gain_and_sigma=lambda: (result.gain[rows], result.sigma[rows]),
    )
