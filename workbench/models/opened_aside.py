"""A model file opened in a process of its own first: a damaged or hostile one can crash, hang or bloat its reader.

HDF5, TensorFlow and ONNX Runtime read files in native code, and a layer may ask for any amount of memory. The child
opens the file as this process will, with limits of memory and time, and tries the model once. What ends the child
becomes one line; a file that it survived, or refused with an ordinary error, is left to the opener here.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from workbench.errors import DataError, WorkbenchError
from workbench.security import model_files
from workbench.security.children import bounded_memory, die_with_parent

MEMORY = 4 << 30  # bytes beyond what the libraries take, or sixteen times the file
SECONDS = 60  # of processor time, for opening and trying it
PATIENCE_SECONDS = 600  # on a machine that is busy with something else
TRIED, TRIED_SIDE = 4, 112  # images in the trial call, and their side where the model leaves it open
TOO_LARGE = 3  # exit status of the child: an allocation was refused
_sound: set[tuple[Any, ...]] = set()


def require_sound(path: Path, kind: str) -> None:
    """Raise `DataError` for a model file that ends, or is too much for, what reads it.

    `kind` is `look` (what the file says of its layers), `keras` or `onnx` (the model itself).
    """
    facts = path.stat()
    key = (kind, str(path), facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
    if key in _sound:
        return
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    words = [sys.executable, "-m", __name__, kind, str(path), str(os.getpid())]
    nowhere = subprocess.DEVNULL
    child = subprocess.Popen(words, env=environment, stdin=nowhere, stdout=nowhere, stderr=nowhere)
    try:
        status: int | None = child.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        status = None
    finally:
        child.kill()
        child.wait()
    if status != 0:
        raise DataError(_reason(status), where=path, expected="a sound model")
    _sound.add(key)


def _reason(status: int | None) -> str:
    if status is None or status == -signal.SIGXCPU:
        return "takes too long to open"
    if status == TOO_LARGE:
        return f"asks for more than {MEMORY >> 30} GB of memory"
    if status < 0:
        return f"ends its reader by signal {-status}: it is damaged, or asks for more than {MEMORY >> 30} GB"
    return f"ends its reader (status {status})"


# ---------------------------------------------------------------- the child


def _look(path: Path) -> None:
    import h5py  # noqa: F401 - outside of the limits

    with _limits(path):
        model_files.configurations(path)


def _keras(path: Path) -> None:
    from workbench.lazy import tf
    from workbench.models.load_keras import opened

    tf.constant(0.0)  # TensorFlow's own threads and memory are no part of the file's share
    with _limits(path):
        network = opened(path)
        shape = getattr(network, "input_shape", None)
        if isinstance(shape, tuple) and len(shape) == 4 and shape[3] == 3:
            network(tf.zeros([TRIED, *(side or TRIED_SIDE for side in shape[1:3]), 3]), training=False)


def _onnx(path: Path) -> None:
    import numpy as np
    import onnxruntime

    with _limits(path):
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0]
        sides = [n if isinstance(n, int) else TRIED_SIDE for n in entry.shape[1:]]
        shape = [entry.shape[0] if isinstance(entry.shape[0], int) else TRIED, *sides]
        kind = {"tensor(uint8)": np.uint8, "tensor(float16)": np.float16}.get(entry.type, np.float32)
        session.run(None, {entry.name: np.zeros(shape, kind)})


@contextlib.contextmanager
def _limits(path: Path) -> Any:
    spent = sum(os.times()[:2])
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(spent) + SECONDS + 1, hard))
    files = path.rglob("*") if path.is_dir() else [path]
    size = sum(file.lstat().st_size for file in files)
    with bounded_memory(max(MEMORY, 16 * size)):
        yield


def _main(kind: str, path: str, parent: str) -> int:
    die_with_parent(int(parent), signal.SIGKILL)
    try:
        {"look": _look, "keras": _keras, "onnx": _onnx}[kind](Path(path))
    except MemoryError:
        return TOO_LARGE
    except WorkbenchError:
        return 0  # the opener says it, and better
    except Exception as error:  # noqa: BLE001 - any ordinary error is left to the opener, which meets it again
        words = f"{type(error).__name__} {error}"
        return (
            TOO_LARGE if any(sign in words for sign in ("ResourceExhausted", "bad_alloc", "OOM when")) else 0
        )
    return 0


if __name__ == "__main__":
    # Nothing is torn down: a library that was refused memory may not survive its own end.
    os._exit(_main(*sys.argv[1:]))
