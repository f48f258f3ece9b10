"""What every test run needs."""

import signal


def pytest_configure():
    """A background job without job control starts with Ctrl-C ignored; the tests of Ctrl-C send themselves one."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
