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
        assert pace.allowed(4, now + 0.99 * lost) == 1
        assert pace.allowed(4, now + 1.01 * lost) == 4
        now, lost = now + 1.01 * lost, min(2 * lost, 1.0)
    assert lost == 1.0
    pace.took(4, 0.002, now)
    pace.took(4, 0.007, now)  # undisturbed in between: it begins anew
    assert pace.allowed(4, now + 0.0071) == 4
    pace.took(2, 0.02, now + 1)  # another number of threads has another fastest step
    assert pace.allowed(2, now + 1) == 2
