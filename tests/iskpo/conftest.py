"""What tests of the filter share."""

from collections.abc import Iterator

import pytest

from iskpo import cpu_scan, torch_scan


@pytest.fixture(scope="module", params=[cpu_scan, torch_scan], ids=["compiled", "torch"])
def each_backend(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests that use this hold for the compiled recurrences and for those in torch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("iskpo.filter._backend", lambda device: request.param)
        yield
