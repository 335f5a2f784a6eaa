"""Processes that must not outlive the one that started them.

The kernel tells a child of its parent's death, whatever ended the parent. A group of servers, which start more of
their own, is ended by a guard (this file, run with a command) that notices it by the end of its standard input.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO

SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
GRACE_SECONDS = 5.0
MODEL_MEMORY = 4 << 30  # bytes for a model file, or sixteen times its size
_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int, number: int = signal.SIGTERM) -> None:
    """Have the kernel send this process `number` when `parent`, which started it, is gone; called in the child."""
    _LIBC.prctl(SET_DEATH_SIGNAL, number)
    if os.getppid() != parent:  # it died before it could be watched
        os._exit(1)


def reset_signals() -> None:
    """Let this process be ended by signals as any other, whatever its parent does with them; called in the child.

    A fork inherits the parent's handlers, which would end the parent's work in the child; a shell's `&` ignores SIGINT,
    a worker of Ray blocks it, and a child would inherit both.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


@contextlib.contextmanager
def bounded_memory(extra: int) -> Iterator[None]:
    """Let this process take at most `extra` bytes more than it has, until the block ends.

    What asks for more gets an error as on a machine without memory, instead of everybody's memory.
    """
    # Of data, not of addresses: TensorFlow reserves many more of these than it ever uses.
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])  # of data and stacks
    most = pages * os.sysconf("SC_PAGE_SIZE") + extra
    resource.setrlimit(
        resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
    )
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def model_memory(size: int) -> int:
    """Return how many bytes a child may take for a model file of `size` bytes, beyond what its libraries take."""
    return max(MODEL_MEMORY, 16 * size)


def model_reader(module: str, *words: str) -> subprocess.Popen[bytes]:
    """Start a module of this project, which reads model files of others, in a process that sees no GPU."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-m", module, *words],
        env=environment,
        stdin=pipe,
        stdout=pipe,
        stderr=subprocess.DEVNULL,
    )


def end_reader(reader: subprocess.Popen[bytes]) -> int:
    """End a reader, if it has not ended, and close its pipes; return its exit status, or minus its signal."""
    reader.kill()
    status = reader.wait()
    for stream in (reader.stdin, reader.stdout):
        if stream is not None:
            # What was not yet written to it is of no use to anybody.
            with contextlib.suppress(BrokenPipeError):
                stream.close()
    return status


def said_of(status: int) -> str:
    """Return the words for a reader that ended by itself: by a signal where its file is damaged, or asks for too much."""
    if status < 0:
        return f"ends its reader by signal {-status}: it is damaged, or asks for more than {MODEL_MEMORY >> 30} GB"
    return f"ends its reader (status {status})"


def serve_model(parent: str) -> BinaryIO:
    """Begin the work of a reader, in its own process: tie it to its parent and return the stream of its answers.

    From now on what native code prints is none of them.
    """
    die_with_parent(int(parent), signal.SIGKILL)
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return stream


def guarded(
    command: Sequence[str], environment: Mapping[str, str], **options: Any
) -> subprocess.Popen[bytes]:
    """Start a command in a group of its own that ends, with all that it started, when this process does."""
    words = [sys.executable, "-I", __file__, *command]  # by its path: the folder may be any, and Python bare
    # A session of its own: a terminal's Ctrl-C reaches it through this process alone, and a lost terminal not at all.
    return subprocess.Popen(
        words, env=dict(environment), stdin=subprocess.PIPE, start_new_session=True, **options
    )


@contextlib.contextmanager
def last_words(words: str) -> Iterator[None]:
    """Say `words` on standard error where this process ends within the block without Python hearing of it.

    A crash of native code, the system's answer to a lack of memory and a SIGKILL leave no line behind. A small
    process waits at a pipe: nothing comes through it but its end, and a sign before that where all is well.
    """
    command = [sys.executable, "-I", "-S", "-c", _LAST_WORDS, words]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    ) as child:
        assert child.stdin is not None
        _listeners.append(child.stdin)
        try:
            yield
        finally:
            end_on_purpose()
            _listeners.remove(child.stdin)
            with contextlib.suppress(OSError):
                child.stdin.close()


def end_on_purpose() -> None:
    """Have no last words said: whoever calls this ends the process, or what was watched over, and has said so."""
    for pipe in _listeners:
        with contextlib.suppress(OSError):
            pipe.write(b".")
            pipe.flush()


_listeners: list[IO[bytes]] = []


_LAST_WORDS = "import sys; sys.stdin.buffer.read(1) or print(sys.argv[1], file=sys.stderr)"


def _guard(command: Sequence[str]) -> int:
    """Run a command until it ends or whoever started this process is gone, which closes its standard input."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    ending = threading.Event()
    # The guard is in the group that it ends: it must outlive its own SIGTERM, to follow it with the SIGKILL.
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
