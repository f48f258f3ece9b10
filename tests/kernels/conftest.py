import pytest

from dlcore.kernels import simd


@pytest.fixture(params=simd.usable())
def isa(request):
    """Binds the steps of a test with each instruction set that runs here."""
    with simd.use(request.param):
        yield request.param
