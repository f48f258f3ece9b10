"""When a program goes on with one thread."""

from dlcore.kernels.pace import Pace


def test_one_thread_alone_where_the_others_have_no_processor():
    """A step longer than one thread would have needed comes before steps of one, more of them each time."""
    pace = Pace()
    assert pace.allowed(4, 0.0) == 4
    for seconds in (0.5, 0.001, 0.0045):  # the first steps warm up; 4 * 0.001 + 0.001 is not exceeded
        pace.took(4, seconds, 1.0)
        assert pace.allowed(4, 1.0) == 4
    now, lost = 10.0, 0.006
    for _ in range(12):
        pace.took(4, 0.006, now)
        assert pace.allowed(4, now + 0.5 * lost) == 1
        assert pace.allowed(4, now + 1.01 * lost) == 4
        now, lost = now + 1.01 * lost, min(2 * lost, 1.0)
    assert lost == 1.0
    pace.took(4, 0.002, now)
    pace.took(4, 0.007, now)  # undisturbed in between: it begins anew
    assert pace.allowed(4, now + 0.0071) == 4
    pace.took(4, 0.007, now)
    assert pace.allowed(4, now + 0.001) == 1
    assert pace.allowed(4, now + 0.001, 100) == 4  # a run of many steps outlasts what disturbs it
    pace.took(2, 0.02, now + 1)  # another number of threads has another fastest step
    assert pace.allowed(2, now + 1) == 2


def test_a_machine_that_became_slower_is_not_disturbed():
    pace, now = Pace(), 0.0
    pace.took(2, 0.004, now)
    both = 0
    for _ in range(100):  # three times slower: 12 ms on two threads, 23 ms on one
        threads = pace.allowed(2, now)
        seconds = 0.012 if threads == 2 else 0.023
        now += seconds
        pace.took(threads, seconds, now)
        both += threads == 2
    assert both > 90


def test_one_thread_stays_alone_beside_a_neighbour():
    pace, now = Pace(), 0.0
    pace.took(2, 0.0002, now)
    both = 0
    for _ in range(1000):
        threads = pace.allowed(2, now)
        seconds = 0.0042 if threads == 2 else 0.0004
        now += seconds
        pace.took(threads, seconds, now)
        both += threads == 2
    assert both < 10
