"""Which instruction set is used, and who may change it."""

import os
import subprocess
import sys

import numpy as np
import pytest

from dlcore.kernels import dense, elementwise, simd


def test_usable_are_known_and_sorted_from_worst_to_best():
    assert simd.usable()[0] == "baseline"
    assert [name for name in simd.known() if name in simd.usable()] == simd.usable()


def test_use_selects_and_restores(isa):
    assert simd.isa() == isa
    width = {"baseline": 4, "neon": 4, "avx2": 8, "avx512": 16}[isa]
    assert simd.nr() == 2 * width
    assert dense.packed_shape(5, 2 * width + 1, 3) == (3, 2, 5, 2 * width)
    with pytest.raises(KeyError), simd.use("baseline"):
        assert simd.isa() == "baseline"
        raise KeyError
    assert simd.isa() == isa


def test_use_refuses_what_does_not_run_here():
    before = simd.isa()
    with (
        pytest.raises(ValueError, match=r"'mmx' is not available here\. Expected one of \['baseline'"),
        simd.use("mmx"),
    ):
        pass
    assert simd.isa() == before


def test_a_step_keeps_the_table_it_was_bound_with():
    w = np.arange(3 * 40, dtype=np.float32).reshape(3, 40)
    with simd.use("baseline"):
        packed = np.empty(dense.packed_shape(3, 40), np.float32)
        step = dense.pack(w, packed)
    step.run()  # with another tile width it would write elsewhere
    assert packed.shape == (1, 5, 3, 8)
    np.testing.assert_array_equal(packed[0].transpose(1, 0, 2).reshape(3, 40), w)


ALL = ("baseline", "avx2", "avx512")


@pytest.mark.parametrize(
    "names, processor, best",
    [
        (ALL, ("AuthenticAMD", 0x1A, 0x02), "avx512"),  # Zen 5, EPYC 9005: where it was measured
        (ALL, ("AuthenticAMD", 0x1A, 0x24), "avx2"),  # Zen 5 for laptops, with units of 256 bits
        (ALL, ("AuthenticAMD", 0x19, 0x11), "avx2"),  # Zen 4
        (ALL, ("GenuineIntel", 6, 0x55), "avx2"),  # Skylake, whose clock falls
        (ALL, ("GenuineIntel", 6, 0x8F), "avx2"),  # Sapphire Rapids, not measured
        (ALL, ("HygonGenuine", 0x1A, 0x02), "avx2"),
        (ALL[:2], ("AuthenticAMD", 0x1A, 0x02), "avx2"),
        (ALL[:1], ("GenuineIntel", 6, 0x1A), "baseline"),
        (("baseline", "neon"), ("", 0, 0), "neon"),
    ],
)
def test_avx512_is_the_default_where_it_was_measured(names, processor, best):
    assert simd.preferred(names, *processor) == best


def test_processor_is_what_linux_says():
    try:
        with open("/proc/cpuinfo") as file:
            said = dict(map(str.strip, line.split(":", 1)) for line in file.read().split("\n\n")[0].splitlines())
        expected = said["vendor_id"], int(said["cpu family"]), int(said["model"])
    except (OSError, KeyError):
        pytest.skip("no /proc/cpuinfo of x86 here")
    assert simd.processor() == expected


@pytest.mark.parametrize("name", [*simd.usable(), "", "mmx"])
def test_environment_overrides_the_choice(name, tmp_path):
    code = "from dlcore.kernels import simd; print(simd.isa())"
    folder = os.path.dirname(os.path.dirname(os.path.dirname(elementwise.__file__)))
    env = {**os.environ, "DLCORE_ISA": name, "PYTHONPATH": folder}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    if name == "mmx":
        assert done.returncode != 0
        assert "ImportError: DLCORE_ISA='mmx' cannot be used here. Expected one of ['baseline'" in done.stderr
    else:
        assert done.stdout.strip() == (name or simd.preferred(simd.usable(), *simd.processor())), done.stderr
