import doctest

import pytest

from sweep.arms import losses
from sweep.input import errors
from sweep.search_spaces import own
from sweep.study import plan


@pytest.mark.parametrize("module", [errors, losses, own, plan], ids=lambda module: module.__name__)
def test_the_examples_in_docstrings_hold(module):
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
