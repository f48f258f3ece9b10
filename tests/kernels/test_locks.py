"""The lock between predictions and training, and notes of changes."""

import sys
import threading
import time

import pytest

from dlcore.kernels.locks import Changes, SharedLock


def state(lock):
    return lock.readers, lock.writers, lock.waiting, lock.due, lock.writing


IDLE = (0, 0, 0, 0, False)


def in_threads(*functions):
    threads = [threading.Thread(target=function, daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    return threads


def join(threads):
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "a thread hangs"


def test_readers_share_and_a_writer_is_alone():
    lock = SharedLock()
    with lock.read(), lock.read():
        assert state(lock) == (2, 0, 0, 0, False)
    with lock.write():
        assert state(lock) == (0, 1, 0, 0, True)
    assert state(lock) == IDLE and lock.writes == 1


@pytest.mark.parametrize("side", ["read", "write"])
def test_an_error_inside_lets_go(side):
    lock = SharedLock()
    with pytest.raises(ZeroDivisionError), getattr(lock, side)():
        1 / 0  # noqa: B018
    assert state(lock) == IDLE


def test_a_writer_waits_for_those_who_read_and_newcomers_wait_for_it():
    lock, order = SharedLock(), []

    def write():
        with lock.write():
            order.append("write")

    def read():
        with lock.read():
            order.append("read")

    with lock.read():
        threads = in_threads(write)
        while not lock.writers:
            time.sleep(0.001)
        threads += in_threads(read)
        while not lock.waiting:
            time.sleep(0.001)
        order.append("first")
    join(threads)
    assert order == ["first", "write", "read"] and state(lock) == IDLE


def test_nobody_reads_what_is_half_written():
    """With threads that take turns as often as they can."""
    lock, pair, wrong, stop = SharedLock(), [0, 0], [], threading.Event()

    def write():
        while not stop.is_set():
            with lock.write():
                pair[0] += 1
                for _ in range(20):
                    pass
                pair[1] += 1

    def read():
        while not stop.is_set():
            with lock.read():
                before = list(pair)
                for _ in range(20):
                    pass
                if before[0] != before[1] or before != pair:
                    wrong.append(before)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = in_threads(write, read, write, read, read, read)
        time.sleep(1)
    finally:
        stop.set()
        sys.setswitchinterval(interval)
    join(threads)
    assert wrong == [] and pair[0] == pair[1] == lock.writes > 10 and state(lock) == IDLE


def test_a_reader_that_comes_during_a_write_goes_before_the_next_write():
    lock, order = SharedLock(), []
    first_writes, go_on = threading.Event(), threading.Event()

    def write(name):
        with lock.write():
            first_writes.set()
            order.append(name)
            if name == "first":
                go_on.wait(10)

    def read():
        with lock.read():
            order.append("read")

    threads = [threading.Thread(target=write, args=["first"])]
    threads[0].start()
    first_writes.wait(10)
    for target, args in ((write, ["second"]), (read, []), (read, [])):
        threads.append(threading.Thread(target=target, args=args))
        threads[-1].start()
    while lock.waiting < 2 or lock.writers < 2:
        time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert order == ["first", "read", "read", "second"]
    assert state(lock) == IDLE


@pytest.mark.parametrize("side", ["read", "write"])
def test_an_interrupted_wait_for_the_lock_leaves_it_usable(side, monkeypatch):
    lock = SharedLock()

    def interrupted(predicate):
        raise KeyboardInterrupt

    with lock.write() if side == "read" else lock.read(), monkeypatch.context() as patch:
        patch.setattr(lock.condition, "wait_for", interrupted)
        with pytest.raises(KeyboardInterrupt), getattr(lock, side)():
            pass
    with lock.read(), lock.read():
        pass
    with lock.write():
        pass
    assert state(lock) == IDLE


def test_a_note_tells_whether_it_is_the_next_one():
    changes = Changes()
    first = changes.last
    second = changes.note(first)
    assert second is changes.last and second is not first
    assert changes.note(first) is None and changes.last not in (first, second)
    assert changes.note() is changes.last
