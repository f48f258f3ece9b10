"""Threads: where their number comes from, who obeys it, and forks. Importing: what it costs and prints."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest
from harness import uniform
from threadpoolctl import threadpool_limits

import dlcore
from dlcore import Sequential, config, layers
from dlcore.kernels import executor, simd

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
openmp = pytest.mark.skipif(not executor.openmp_runtime(), reason="a serial build")
TOLD = ("DLCORE_NUM_THREADS", "OMP_NUM_THREADS", "DLCORE_ISA")


def python(code, check=True, **environ):
    """Run code in a fresh Python, in which only `environ` sets threads."""
    env = {key: value for key, value in os.environ.items() if key not in TOLD}
    env["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    elsewhere = tempfile.gettempdir()  # a checkout in the current folder would hide the installed package
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=elsewhere, env=env | environ, capture_output=True, text=True, timeout=60
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stdout.strip() if check else done


@pytest.fixture(autouse=True)
def unchanged():
    before = config._choice.count, config._choice.source
    yield
    config._choice.count, config._choice.source = before


# ---------------------------------------------------------------------------------------------------------------------
# How many

SHOW = "import dlcore, dlcore.config as c; print(dlcore.get_num_threads(), '|', c.config()['threads'])"


@pytest.mark.parametrize("environ, expected", [
    ({"DLCORE_NUM_THREADS": "3"}, "3 | 3 (from DLCORE_NUM_THREADS)"),
    ({"OMP_NUM_THREADS": "5"}, "5 | 5 (from OMP_NUM_THREADS)"),
    ({"OMP_NUM_THREADS": "5,2"}, "5 | 5 (from OMP_NUM_THREADS)"),
    ({"DLCORE_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, "3 | 3 (from DLCORE_NUM_THREADS)"),
])  # fmt: skip
def test_the_environment(environ, expected):
    assert python(SHOW, **environ) == expected


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_refuses_a_broken_environment(value):
    done = python("import dlcore", check=False, DLCORE_NUM_THREADS=value)
    assert done.returncode == 1
    assert f"ImportError: DLCORE_NUM_THREADS must be a whole number from 1 to 1024. Received: '{value}'" in done.stderr


def test_a_broken_omp_num_threads_is_openmps_affair():
    assert "CPU affinity" in python(SHOW, OMP_NUM_THREADS="") or "cgroup" in python(SHOW, OMP_NUM_THREADS="")


@linux
@pytest.mark.parametrize("count", [1, len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1])
def test_the_affinity_of_the_process(count):
    code = f"import os; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:{count}]); {SHOW}"
    quota = config.cpu_quota()
    if quota is not None and quota < count:
        pytest.skip("a cgroup quota is smaller")
    assert python(code) == f"{count} | {count} (from CPU affinity)"


def test_the_calls():
    dlcore.set_num_threads(3)
    assert dlcore.get_num_threads() == 3 and "set_num_threads" in config.config()["threads"]
    with dlcore.threads(2):
        assert dlcore.get_num_threads() == 2 and "threads(n)" in config.config()["threads"]
        with dlcore.threads(np.int64(5)):
            assert dlcore.get_num_threads() == 5
        dlcore.set_num_threads(4)  # for the process, not for this block
        assert dlcore.get_num_threads() == 2
    assert dlcore.get_num_threads() == 4
    with pytest.raises(KeyError), dlcore.threads(1):
        raise KeyError
    assert dlcore.get_num_threads() == 4


def test_a_block_holds_for_its_thread_only():
    import threading

    dlcore.set_num_threads(3)
    seen = []
    with dlcore.threads(1):
        thread = threading.Thread(target=lambda: seen.append(dlcore.get_num_threads()))
        thread.start()
        thread.join()
    assert seen == [3]


@pytest.mark.parametrize("bad", [0, -1, 1.5, "2", None, True, 1025])
def test_refuses_numbers_of_threads(bad):
    message = "threads must be a whole number from 1 to 1024. Received: "
    with pytest.raises(ValueError, match=message):
        dlcore.set_num_threads(bad)
    with pytest.raises(ValueError, match=message), dlcore.threads(bad):
        pass


@openmp
def test_obeys_threadpoolctl():
    dlcore.set_num_threads(4)
    limit = 1 if executor.openmp_limit() != 1 else 2  # one that equals OpenMP's own default cannot be told from it
    with threadpool_limits(limit):
        assert dlcore.get_num_threads() == limit
        assert "limit on OpenMP" in config.config()["threads"]
    with threadpool_limits(8):
        assert dlcore.get_num_threads() == 4  # a limit, not a wish
    assert dlcore.get_num_threads() == 4


# ---------------------------------------------------------------------------------------------------------------------
# Control groups: (lines of /proc/self/cgroup, files, CPUs)

QUOTAS = {
    "no limit": ("0::/", {"cpu.max": "max 100000"}, None),
    "v2": ("0::/", {"cpu.max": "150000 100000"}, 1.5),
    "v2 of a group": ("0::/user/app", {"user/app/cpu.max": "200000 100000"}, 2.0),
    "v2 of a parent": ("0::/user/app", {"user/cpu.max": "50000 100000", "user/app/cpu.max": "200000 100000"}, 0.5),
    "v2 of the mount": ("0::/user/app", {"cpu.max": "300000 100000", "user/app/cpu.max": "max 100000"}, 3.0),
    "v2 whose path is outside the container": ("0::/../other", {"cpu.max": "100000 100000"}, 1.0),
    "v1": ("4:cpu,cpuacct:/job\n3:memory:/job", {"cpu,cpuacct/job/cpu.cfs_quota_us": "250000",
                                                 "cpu,cpuacct/job/cpu.cfs_period_us": "100000"}, 2.5),
    "v1 without limit": ("4:cpu:/job", {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"}, None),
    "v1 in a container": ("4:cpu,cpuacct:/docker/1f", {"cpu/cpu.cfs_quota_us": "400000",
                                                      "cpu/cpu.cfs_period_us": "100000"}, 4.0),
    "both, the smaller holds": ("4:cpu:/\n0::/", {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000",
                                                 "cpu.max": "200000 100000"}, 2.0),
    "no files": ("0::/user/app", {}, None),
    "broken": ("0::/", {"cpu.max": "lots"}, None),
    "other controllers only": ("5:memory:/\n6:cpuset:/", {"cpuset/cpu.cfs_quota_us": "100"}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", QUOTAS)
def test_cgroup_quotas(name, tmp_path):
    lines, files, expected = QUOTAS[name]
    membership, root = tmp_path / "cgroup", tmp_path / "sys"
    membership.write_text(lines + "\n")
    root.mkdir()
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text + "\n")
    assert config.cpu_quota(str(membership), str(root)) == expected


def test_systems_without_cgroups():
    assert config.cpu_quota("/does/not/exist") is None


@linux
def test_a_quota_below_the_affinity_decides(monkeypatch):
    for name in TOLD:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    for quota, expected in [(2.5, (3, "cgroup quota")), (0.5, (1, "cgroup quota")), (8.0, (8, "CPU affinity")),
                            (None, (8, "CPU affinity"))]:  # fmt: skip
        monkeypatch.setattr(config, "cpu_quota", lambda quota=quota: quota)
        choice = config._default()
        assert (choice.count, choice.source) == expected


# ---------------------------------------------------------------------------------------------------------------------
# What is here


def test_show_config(capsys):
    dlcore.show_config()
    printed = capsys.readouterr().out
    for part in ("dlcore-engine", dlcore.__version__, np.__version__, "compiler", "-O3", simd.isa(), "threads",
                 f"{dlcore.get_num_threads()} (from ", executor.openmp_runtime()):  # fmt: skip
        assert part in printed
    assert "-ffast-math" not in printed and "-march=native" not in printed


@pytest.mark.parametrize("isa", simd.usable())
def test_the_instruction_set_can_be_chosen(isa):
    assert python("from dlcore.kernels import simd; print(simd.isa())", DLCORE_ISA=isa) == isa


def test_refuses_an_instruction_set_that_is_not_here():
    done = python("import dlcore", check=False, DLCORE_ISA="avx1024")
    assert done.returncode == 1
    assert "ImportError: DLCORE_ISA='avx1024' cannot be used here. Expected one of" in done.stderr


HEAVY = ["matplotlib", "PIL", "pooch", "tqdm", "safetensors", "onnx", "torch", "h5py", "requests", "scipy", "pandas",
         "IPython", "tkinter", "asyncio"]  # fmt: skip


def test_importing_is_quiet_and_light():
    code = f"import sys; import dlcore; print([name for name in {HEAVY} if name in sys.modules])"
    done = python(code, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


def test_importing_leaves_the_floating_point_state_alone():
    code = "import numpy as np, dlcore; x = np.float32(1e-40); print(float(x * np.float32(1)) > 0)"
    assert python(code) == "True"


# ---------------------------------------------------------------------------------------------------------------------
# Forks


def trained():
    model = Sequential([layers.Input((12, 12, 1)), layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(),
                        layers.Flatten(), layers.Dense(10, activation="softmax")])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy")
    x = uniform(512, 12, 12, 1)
    with dlcore.threads(2):
        model.fit(x, np.arange(512) % 10, batch_size=256, verbose=0)
    return model, x


@linux
def test_a_forked_child_computes_with_threads():
    model, x = trained()
    expected = model.predict(x)
    for _ in range(5):
        pid = os.fork()
        if pid == 0:  # no pytest in here
            try:
                with dlcore.threads(2):
                    same = np.array_equal(model.predict(x), expected)
                    model.fit(x, np.arange(512) % 10, batch_size=256, verbose=0)
                os._exit(0 if same else 3)
            except BaseException:
                os._exit(4)
        assert wait(pid, 20) == 0
        with dlcore.threads(2):  # the parent still has its threads
            np.testing.assert_array_equal(model.predict(x), expected)


def wait(pid, seconds):
    """Exit status of a child, or None, and no child, after some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return None


_shared = {}


def _predict(part):
    model, x = _shared["model"]
    with dlcore.threads(2):
        return model.predict(x[part])


@linux
def test_a_pool_of_forked_workers():
    _shared["model"] = model, x = trained()
    parts = [slice(i, i + 128) for i in range(0, 512, 64)]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map_async(_predict, parts).get(timeout=30)
    for part, got in zip(parts, found, strict=True):
        np.testing.assert_array_equal(got, model.predict(x[part]))
