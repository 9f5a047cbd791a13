import doctest

import pytest

from sweep import losses, nearest, plan
from sweep.search_spaces import own


@pytest.mark.parametrize("module", [losses, nearest, own, plan], ids=lambda module: module.__name__)
def test_the_examples_in_docstrings_hold(module):
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
