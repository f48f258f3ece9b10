"""Replacing a file so that, whatever happens, its name has the old content or the new one, never a part."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress


def write_atomically(path: str, data: bytes) -> None:
    """Write a temporary file beside `path`, force it to the disk, rename it, and force the rename to the disk.

    A symbolic link stays and its target is replaced. A replaced file hands on its permissions; a new one gets those
    that `open` would give it. Nothing is left behind on failure; a process killed at work may leave a `.dlcore-*.tmp`.

    Raises:
        OSError: the file cannot be written, or `path` is something else than a file.
    """
    path = os.path.realpath(path)
    try:
        before = os.stat(path).st_mode
    except FileNotFoundError:
        before = None
    if before is not None and not stat.S_ISREG(before):
        raise OSError(errno.EINVAL, "not a regular file", path)
    folder = os.path.dirname(path)
    temporary = os.path.join(folder, f".dlcore-{os.urandom(8).hex()}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open(handle, "wb") as file:
            if before is not None:
                os.fchmod(handle, stat.S_IMODE(before))
            file.write(data)
            file.flush()
            os.fsync(handle)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # what file systems answer that cannot sync a folder
            raise
    finally:
        os.close(handle)
