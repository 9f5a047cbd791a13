"""What tests of the filter share."""

from collections.abc import Iterator
from importlib import import_module

import pytest


# Imported when used, so that the tests of GPU kernels run where there is no numba.
@pytest.fixture(scope="module", params=["iskpo.kernels.cpu", "iskpo.kernels.torch_loop"], ids=["compiled", "torch"])
def each_backend(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests that use this hold for the compiled recurrences and for those in torch."""
    backend = import_module(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("iskpo.filter._backend", lambda device: backend)
        yield
