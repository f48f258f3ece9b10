import pytest

from dlcore import _build_config
from dlcore.kernels import simd


@pytest.fixture(params=[name for name in simd.known() if name in _build_config.ISAS])
def isa(request):
    """Binds the steps of a test with each instruction set of this build that runs here."""
    if request.param not in simd.usable():
        pytest.skip(f"this processor has no {request.param}")
    with simd.use(request.param):
        yield request.param
