"""Processes that must not outlive the one that started them.

The kernel tells a child of its parent's death, whatever ended the parent. A group of servers, which start more of
their own, is ended by a guard (this file, run with a command) that notices it by the end of its standard input.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
GRACE_SECONDS = 5.0
_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int, number: int = signal.SIGTERM) -> None:
    """Have the kernel send this process `number` when `parent`, which started it, is gone; called in the child."""
    _LIBC.prctl(SET_DEATH_SIGNAL, number)
    if os.getppid() != parent:  # it died before it could be watched
        os._exit(1)


def guarded(
    command: Sequence[str], environment: Mapping[str, str], **options: Any
) -> subprocess.Popen[bytes]:
    """Start a command in a group of its own that ends, with all that it started, when this process does."""
    words = [sys.executable, "-I", __file__, *command]  # by its path: the folder may be any, and Python bare
    return subprocess.Popen(
        words, env=dict(environment), stdin=subprocess.PIPE, start_new_session=True, **options
    )


def _guard(command: Sequence[str]) -> int:
    """Run a command until it ends or whoever started this process is gone, which closes its standard input."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: None if ending.is_set() else child.terminate())

    def watch() -> None:
        while os.read(0, 4096):
            pass
        ending.set()
        os.killpg(0, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_SECONDS)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(_guard(sys.argv[1:]))
