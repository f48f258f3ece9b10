"""Programs on threads: every chunk once, barriers, clocks, signals, forks, floating-point state."""

import contextlib
import multiprocessing
import os
import random
import signal
import sys
import threading
import time

import numpy as np
import pytest
from harness import BALLAST, F32, blank, packed, same_bits, uniform

from dlcore import _build_config
from dlcore.kernels import dense, elementwise, optimizers
from dlcore.kernels.executor import Clock, Program, openmp_limit, openmp_runtime

HEAVY = ([BALLAST], 8)  # a group worth threads
ONE = np.ones(1)


def counter(n=5000, stages=None, **options):
    """A program whose every step takes 1 from each of n weights, so that w == -clock.step tells a half-done step."""
    w, clock = np.zeros(n, F32), Clock()
    step = optimizers.sgd(w, np.ones(n, F32), None, ONE)
    return (
        w,
        clock,
        Program([*(stages or [[HEAVY]]), [([step], 1)]], clock=clock, step_increment=1, commit=1, **options),
    )


def seconds(program, steps=200):
    """Steps that take one thread about a second: two may wait for each other on a busy machine."""
    start = time.perf_counter()
    program.run(steps)
    return max(int(steps / (time.perf_counter() - start)), 1)


# ---------------------------------------------------------------------------------------------------------------------
# Chunks, stages, threads


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 7])
@pytest.mark.parametrize(
    "tasks, grain", [(1, 1), (2, 1), (5, 2), (7, 7), (13, 100), (64, 3), (1000, 1), (9, sys.maxsize)]
)
def test_every_task_once_a_step(threads, tasks, grain):
    y = np.zeros((tasks, 3), F32)
    few = np.zeros((3, 2), F32)
    add = [elementwise.add(x, np.ones_like(x), x) for x in (y, y, few)]
    stage = [(add[:2], grain), HEAVY, (add[2:], 2), ([], 1)]
    assert Program([stage]).run(5, threads) == 5
    assert (y == 10).all()
    assert (few == 5).all()


@pytest.mark.parametrize("threads", [2, 3, 4, 7])
def test_a_stage_sees_all_of_the_one_before(threads):
    """w -> x += w -> sum of x -> w -= lr * sum: a chunk that comes too early changes all bits after it."""

    def trajectory(threads):
        x, w, parts, g = uniform(11, 40), uniform(40), blank(6, 40), blank(40)
        stages = [
            [([elementwise.bias_add(x, w, x)], 1), ([BALLAST], 50)],
            [([elementwise.bias_gradient(x, parts, 2)], 2)],
            [([elementwise.reduce_chunks(parts, g)], 1)],
            [([optimizers.sgd(w, g, None, np.array([0.01]))], 1)],
        ]
        assert Program(stages).run(300, threads) == 300
        return np.concatenate([x.ravel(), w])

    serial = trajectory(1)
    assert np.isfinite(serial).all()
    for _ in range(3):
        assert same_bits(trajectory(threads), serial)


def test_threads_only_where_there_is_work():
    """Each thread has a slot of its own: 64 bytes here, and 128 apart from the next."""
    small = elementwise.fill(blank(100, 10), 1)
    light, heavy = Program([[([small], 1)]], slot_bytes=64), Program([[([small], 1)], [HEAVY]], slot_bytes=64)
    assert light.nbytes == heavy.nbytes == 0
    assert (light.work, heavy.work) == (1000, 1000 + 128 * 128 * 64)
    for threads in (-1, 0, 1, 3, 2):
        light.run(threads=threads)
        heavy.run(threads=threads)
        assert light.nbytes == 192
        assert heavy.nbytes == (576 if threads > 1 else 192)


def test_threads_only_where_there_is_work_to_share():
    """A stage of one chunk keeps one thread busy, a prologue runs seldom, and each further thread needs some work."""
    small = ([elementwise.fill(blank(100, 10), 1)], 1)
    one, prologue = Program([[([BALLAST], 128)], [small]]), Program([[HEAVY], [small]], prologue=1)
    assert (one.shared, prologue.shared) == (1000, 1000) and one.serial and prologue.serial
    heavy = Program([[HEAVY], [small]])
    heavy.run(threads=64)
    assert not heavy.serial and heavy.nbytes == 4 * 128


def test_programs_that_do_nothing():
    clock = Clock()
    assert Program([]).run(3, threads=2) == 3
    assert Program([[]], clock=clock, cursor_increment=2).run(3) == 3
    assert (clock.step, clock.cursor) == (0, 6)
    assert Program([[HEAVY]], clock=clock, step_increment=1).run(0, threads=2) == 0
    assert clock.step == 0


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_prologue_runs_in_the_first_step_of_a_run(threads):
    x, y, w = np.ones((3, 4), F32), np.zeros((3, 4), F32), np.zeros((3, 4), F32)
    stages = [[([elementwise.add(x, y, y)], 1)], [([elementwise.add(y, w, w)], 1), ([BALLAST], 50)]]
    program = Program(stages, prologue=1)
    assert program.run(5, threads) == 5
    assert (y == 1).all() and (w == 5).all()
    assert program.run(2, threads) == 2
    assert (y == 2).all() and (w == 9).all()
    for wrong in (-1, 2):
        with pytest.raises(ValueError, match=f"2 stages cannot begin with {wrong} of a prologue"):
            Program(stages, prologue=wrong)


def test_the_prologue_is_left_out_while_the_weights_are_prepared():
    x, y, w = np.ones((3, 4), F32), np.zeros((3, 4), F32), np.zeros((3, 4), F32)
    program = Program([[([elementwise.add(x, y, y)], 1)], [([elementwise.add(y, w, w)], 1)]], prologue=1)
    first, second = object(), object()
    prepared = []
    for weights in (first, first, second, first, None, None):
        program.run(2, 1, weights)
        assert program.prepared is weights
        prepared.append(int(y[0, 0]))
    assert prepared == [1, 1, 2, 3, 4, 5]
    assert program.run(0, 1, first) == 0 and program.prepared is None  # no step, no prologue
    program.prepared = second  # as after a run that left the weights prepared
    program.run(1, 1, second)
    program.run(0, 1, second)
    assert (y == 5).all() and program.prepared is second


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_steps_of_any_number_of_tasks_make_one_chunk_without_a_grain(threads):
    a, b = blank(7, 3), blank(2, 5)
    steps = [elementwise.fill(a, 1), elementwise.fill(b, 2), elementwise.add(a, a, a)]
    assert Program([[([*steps], None), ([BALLAST], 50)]]).run(1, threads) == 1
    assert (a == 2).all() and (b == 2).all()
    partial = elementwise.bias_gradient(a, blank(4, 3), 2)
    with pytest.raises(ValueError, match="chunks of 2 tasks cannot run in chunks of None"):
        Program([[([partial], None)]])


def test_clock():
    w, clock, program = counter()
    clock.step, clock.cursor = 2**40, 7
    assert program.run(3, threads=2) == 3
    assert (clock.step, clock.cursor) == (2**40 + 3, 7)
    assert program.clock is clock
    assert (w == -3).all()


def test_step_run_alone():
    y = np.zeros((7, 2), F32)
    step = elementwise.add(y, np.ones_like(y), y)
    step.run()
    step.run(threads=2, grain=3)
    assert (y == 2).all()
    assert (step.tasks, step.work, step.scratch) == (7, 14, 0)


def test_refuses_wrong_programs():
    one, two = elementwise.fill(blank(1, 9), 0), elementwise.fill(blank(2, 9), 0)
    with pytest.raises(ValueError, match="a group has steps of 1 and 2 tasks"):
        Program([[([one, two], 1)]])
    for grain in (0, -3):
        with pytest.raises(ValueError, match=f"grain {grain}"):
            Program([[([one], grain)]])
    for thing in (None, 3):
        with pytest.raises(TypeError, match=r"expected steps. Received: (NoneType|int)"):
            Program([[([thing], 1)]])


# ---------------------------------------------------------------------------------------------------------------------
# One run at a time


def in_thread(f):
    thread = threading.Thread(target=f)
    thread.start()
    return thread


def test_refuses_a_second_run_at_the_same_time():
    w, clock, program = counter()
    steps = seconds(program)
    done = clock.step
    thread = in_thread(lambda: program.run(steps, 2))
    time.sleep(0.05)
    with pytest.raises(RuntimeError, match="already running in another thread"):
        program.run()
    thread.join()
    assert program.run() == 1
    assert clock.step == done + steps + 1
    assert (w == -clock.step).all()


def test_programs_run_side_by_side():
    runs = [counter() for _ in range(4)]
    threads = [in_thread(lambda p=program: p.run(300, 2)) for _, _, program in runs]
    for thread in threads:
        thread.join()
    for w, clock, _ in runs:
        assert clock.step == 300
        assert (w == -300).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_other_python_threads_go_on(threads):
    """No GIL is held: a heartbeat of 1 ms has no gap of 50 ms. Best of five, for the machine has other work too."""
    *_, program = counter()
    steps = seconds(program) // 3
    gaps = []
    for _ in range(5):
        beats = []
        thread = in_thread(lambda: program.run(steps, threads))
        while thread.is_alive():
            beats.append(time.perf_counter())
            time.sleep(0.001)
        assert len(beats) > 10
        gaps.append(max(np.diff(beats)))
        if gaps[-1] <= 0.05:
            return
    pytest.fail(f"longest gaps {gaps}")


# ---------------------------------------------------------------------------------------------------------------------
# Signals


def interrupt(program, threads, delay, steps=10**8):
    """Seconds from the signal to the end of a run that would take hours."""
    sent = []

    def send():
        time.sleep(delay)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    thread = in_thread(send)
    with pytest.raises(KeyboardInterrupt):
        program.run(steps, threads)
    late = time.perf_counter() - sent[0]
    thread.join()
    return late


LONG = [[([BALLAST], 64)]]  # two chunks: with 4 threads, the first seldom gets one


@pytest.mark.parametrize("threads, stages", [(1, None), (2, None), (4, None), (4, LONG)])
def test_ctrl_c_leaves_whole_steps(threads, stages):
    w, clock, program = counter(stages=stages)
    late = []
    for i in range(8):
        before = clock.step
        late.append(interrupt(program, threads, random.Random(i).uniform(0.001, 0.12)))
        assert clock.step > before or i == 0
        assert (w == -clock.step).all()
    assert sorted(late)[4] <= 0.2, late
    assert program.run(2, threads) == 2
    assert (w == -clock.step).all()


def test_ctrl_c_where_the_main_thread_has_no_task():
    program = Program([[([elementwise.fill(blank(0, 3), 1)], 1)]])
    assert interrupt(program, 1, 0.02, steps=3 * seconds(program, 10**6)) < 1


def test_a_handler_may_raise_anything_or_nothing():
    w, clock, program = counter()
    steps = seconds(program) // 2
    calls = []

    def quiet(*_):
        calls.append(clock.step)

    def loud(*_):
        raise LookupError("from a handler")

    before = signal.signal(signal.SIGALRM, quiet)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        start = clock.step
        assert program.run(steps, 2) == steps
        assert len(calls) == 1 and start < calls[0] < clock.step
        signal.signal(signal.SIGALRM, loud)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(LookupError, match="from a handler"):
            program.run(10**8, 2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert (w == -clock.step).all()


# ---------------------------------------------------------------------------------------------------------------------
# Fork


def child_status(f, limit=5.0):
    """Exit status of a forked child that calls f, or "hangs"."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            status = 0 if f() else 2
        finally:
            os._exit(status)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hangs"


def counts(threads=2):
    """Whether a new program gives the right answer."""
    w, clock, program = counter()
    program.run(3, threads)
    return clock.step == 3 and bool((w == -3).all())


def test_fork_after_a_parallel_run():
    assert counts()
    w, clock, program = counter()
    program.run(2, 2)

    def child():
        program.run(3, 2)
        return counts() and bool((w == -clock.step).all())

    for _ in range(20):
        assert child_status(child) == 0
        assert counts()  # the parent's threads are as they were
    assert child_status(lambda: child_status(child) == 0) == 0  # and a child's child


def test_fork_pool():
    assert counts()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(counts, [2] * 8, chunksize=1).get(timeout=20) == [True] * 8
    assert counts()


def test_fork_while_another_thread_runs():
    """The child has a copy of a program in the middle of a step, which it refuses; any other runs, on one thread."""
    *_, program = counter()
    steps = seconds(program)
    thread = in_thread(lambda: program.run(steps, 2))
    time.sleep(0.05)

    def child():
        with contextlib.suppress(RuntimeError):
            program.run()
            return False
        return counts() and counts(4)

    statuses = [child_status(child) for _ in range(5)]
    assert thread.is_alive()
    assert counts()
    thread.join()
    assert statuses == [0] * 5
    assert child_status(counts) == 0


# ---------------------------------------------------------------------------------------------------------------------
# Floating-point state


def flushes():
    """Whether this thread flushes denormal numbers to zero, in and out."""
    return not (np.full(4, 1e-40, F32) * F32(1)).all() or not (np.full(4, 1e-30, F32) * F32(1e-10)).all()


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_denormals_are_zero_inside_and_not_outside(threads):
    x, y = np.full((64, 8), 1e-30, F32), blank(64, 8)
    program = Program([[([elementwise.rescale(x, y, 1e-10)], 1)], [HEAVY]])
    after = []

    def body():
        y[...] = np.nan
        program.run(threads=threads)
        after.append(flushes())
        assert (y == 0).all()

    assert not flushes()
    body()
    in_thread(body).join()
    assert after == [False, False]


def test_float_state_is_restored_after_an_interrupt():
    *_, program = counter()
    interrupt(program, 2, 0.05)
    assert not flushes()


# ---------------------------------------------------------------------------------------------------------------------
# OpenMP


def test_openmp_limit():
    if not _build_config.OPENMP:
        assert (openmp_limit(), openmp_runtime()) == (1, "")
        return
    threadpoolctl = pytest.importorskip("threadpoolctl")
    assert os.path.exists(openmp_runtime())
    before = openmp_limit()
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        assert openmp_limit() == 1
    assert openmp_limit() == before >= 1


def test_dense_on_threads_is_what_it_is_on_one():
    """The ballast itself: rows cut into chunks of 8, on as many threads as there are."""
    x, w, b = uniform(130, 90), uniform(90, 130, seed=1), uniform(130, seed=2)
    p, y = packed(w), [blank(130, 130) for _ in range(5)]
    for threads, out in enumerate(y, 1):
        Program([[([dense.dense_forward(x, p, b, out)], 8)]]).run(threads=threads)
    assert all(same_bits(out, y[0]) for out in y)


@pytest.mark.parametrize("threads", [1, 2])
def test_profile_gives_work_and_seconds_of_each_step(threads):
    x, y, z = np.ones((8, 4), np.float32), np.zeros((8, 4), np.float32), np.zeros((8, 4), np.float32)
    steps = [elementwise.rescale(x, y, 2.0, 0.0), elementwise.rescale(y, z, 3.0, 1.0)]
    program = Program([[(steps, 2)]])
    found = program.profile(5, threads)
    assert [work for work, _ in found] == [step.work for step in steps]
    assert all(0 < seconds < 1 for _, seconds in found)
    assert (z == 7).all()
    assert program.run(2, threads) == 2
