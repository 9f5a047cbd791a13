"""Suggests what a user may have meant."""

import difflib
from collections.abc import Iterable


def did_you_mean(given: object, valid: Iterable[str]) -> str:
    """The end of an error message: the nearest valid word when one is near, else all of them.

    >>> did_you_mean("seads", ["seeds", "steps"])
    "; did you mean 'seeds'?"
    >>> did_you_mean("xyz", ["seeds", "steps"])
    '; valid: seeds, steps'
    """
    words = list(valid)
    lower = {word.lower(): word for word in words}
    near = difflib.get_close_matches(str(given).lower(), lower, n=1, cutoff=0.6)
    return f"; did you mean '{lower[near[0]]}'?" if near else f"; valid: {', '.join(words)}"
