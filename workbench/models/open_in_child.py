"""A model file opened in a process of its own first: a damaged or hostile one can crash, hang or bloat its reader.

HDF5, TensorFlow and ONNX Runtime read files in native code, and a layer may ask for any amount of memory. One process,
which imports what is needed once, forks for each file; the fork opens it as this process will, with limits of memory
and time, and tries the model once. What ends the fork becomes one line; a file that it survived, or refused with an
ordinary error, is left to the opener here.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.errors import DataError
from workbench.files import size_of
from workbench.security import children, model_files

SECONDS = 60  # of processor time, for opening and trying it
PATIENCE_SECONDS = 600  # on a machine that is busy with something else
TRIED, TRIED_SIDE = 4, 112  # images in the trial call, and their side where the model leaves it open
TOO_LARGE = 3  # exit status of the child: an allocation was refused
# TensorFlow's, C++'s, the system's by way of Python or a loader of libraries, zlib's and NumPy's words for it.
SIGNS_OF_NO_MEMORY = (
    "ResourceExhausted",
    "bad_alloc",
    "OOM when",
    "annot allocate memory",
    "out of memory",
    "nable to allocate",
)
_sound: set[tuple[Any, ...]] = set()
_lock = threading.Lock()
_opener: list[subprocess.Popen[bytes]] = []  # the one process at work for this one, where one was needed


def require_sound(path: Path, kind: str) -> None:
    """Raise `DataError` for a model file that ends, or is too much for, what reads it.

    `kind` is `look` (what the file says of its layers), `keras` or `onnx` (the model itself).
    """
    facts = path.stat()
    key = (kind, str(path), facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
    with _lock:
        if key in _sound:
            return
        status = _asked(kind, path)
        if status != 0:
            raise DataError(_reason(status), where=path, expected="a sound model")
        _sound.add(key)


def _asked(kind: str, path: Path) -> int | None:
    """Have a file opened aside; return the status of the process that did so, None where it took too long."""
    for _ in range(2):  # the opener may have ended with the thread that started it
        if not _opener or _opener[0].poll() is not None:
            _opener[:] = [children.model_reader(__name__, str(os.getpid()))]
        child = _opener[0]
        assert child.stdin is not None and child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(json.dumps([kind, os.path.abspath(path)]).encode() + b"\n")
            child.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            ready = selector.select(PATIENCE_SECONDS)
        answer = child.stdout.readline() if ready else b""
        if answer:
            return int(answer)
        status = children.end_reader(child)
        if not ready:
            return None
    return status


def _reason(status: int | None) -> str:
    if status is None or status == -signal.SIGXCPU:
        return "takes too long to open"
    if status == TOO_LARGE:
        return f"asks for more than {children.MODEL_MEMORY >> 30} GB of memory"
    return children.said_of(status)


# ---------------------------------------------------------------- the opener and its forks


def _look(path: Path) -> None:
    model_files.configurations(path)


def _keras(path: Path) -> None:
    from workbench.lazy import tf
    from workbench.models.open_keras import open_keras

    network = open_keras(path)
    shape = getattr(network, "input_shape", None)
    if isinstance(shape, tuple) and len(shape) == 4 and shape[3] == 3:
        network(tf.zeros([TRIED, *(side or TRIED_SIDE for side in shape[1:3]), 3]), training=False)


def _onnx(path: Path) -> None:
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    sides = [n if isinstance(n, int) else TRIED_SIDE for n in entry.shape[1:]]
    shape = [entry.shape[0] if isinstance(entry.shape[0], int) else TRIED, *sides]
    kind = {"tensor(uint8)": np.uint8, "tensor(float16)": np.float16}.get(entry.type, np.float32)
    session.run(None, {entry.name: np.zeros(shape, kind)})


KINDS = {  # what opens a file, and what that imports: once in the opener, for all of its forks
    "look": (_look, ("h5py",)),
    "keras": (_keras, ("workbench.models.newer_keras", "workbench.models.backbones.custom_objects")),
    "onnx": (_onnx, ("onnxruntime",)),
}


def _prepare(kind: str) -> None:
    """Import what a kind needs and begin nothing: a process with threads at work cannot be forked."""
    if kind == "keras":
        from workbench.lazy import tf

        tf.keras.models.load_model  # noqa: B018 - the name imports TensorFlow
    for name in KINDS[kind][1]:
        with contextlib.suppress(ImportError):  # the fork meets it again
            importlib.import_module(name)


@contextlib.contextmanager
def _limits(path: Path, kind: str) -> Iterator[None]:
    if kind == "keras":
        from workbench.lazy import tf

        tf.constant(0.0)  # TensorFlow's own threads and memory are not part of the file's share
    spent = sum(os.times()[:2])
    resource.setrlimit(
        resource.RLIMIT_CPU, (int(spent) + SECONDS + 1, resource.getrlimit(resource.RLIMIT_CPU)[1])
    )
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with children.bounded_memory(children.model_memory(size_of(path))):
        yield


def _tried(kind: str, path: Path) -> int:
    """Open a file within limits; return the exit status that says how that went."""
    try:
        with _limits(path, kind):
            KINDS[kind][0](path)
    except Exception as error:  # noqa: BLE001 - any other error is left to the opener, which meets it again and says it
        return TOO_LARGE if _for_want_of_memory(error) else 0
    return 0


def _for_want_of_memory(error: BaseException | None) -> bool:
    """Tell whether an error, or one behind it, is that of a refused allocation: each library has its own."""
    while error is not None:
        words = f"{type(error).__name__} {error}"
        if isinstance(error, MemoryError) or any(sign in words for sign in SIGNS_OF_NO_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False


def open_in_fork(kind: str, path: Path) -> int:
    """Open a file in a fork of this process; return its exit status, or minus the signal that ended it."""
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            children.die_with_parent(parent, signal.SIGKILL)
            status = _tried(kind, path)
        finally:
            os._exit(status)  # nothing is torn down: a library that was refused memory may not survive that
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _serve(parent: str) -> None:
    answer = children.serve_model(parent)
    for line in sys.stdin.buffer:
        kind, path = json.loads(line)
        _prepare(kind)
        answer.write(b"%d\n" % open_in_fork(kind, Path(path)))
        answer.flush()


if __name__ == "__main__":
    _serve(sys.argv[1])
