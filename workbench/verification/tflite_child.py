"""A TFLite model in a process of its own: its reader is native code that a damaged file can crash or make huge.

The child tells what the model takes and gives, then answers batches until its input ends. It may take so much
memory beyond that of TensorFlow itself and so long; whatever ends it becomes one line here.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import selectors
import sys
import time
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from workbench.errors import DataError
from workbench.security import children

START_SECONDS = 300.0  # for importing TensorFlow, on a machine that is busy with something else
OPEN_SECONDS, RUN_SECONDS = 60.0, 600.0


class TFLite:
    """One model at work in a child; `entry` and `end` are its first input and output as TFLite describes them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process = children.model_reader(__name__, str(path), str(os.getpid()))
        self._answer(START_SECONDS)
        found = json.loads(self._answer(OPEN_SECONDS))
        if "error" in found:
            self.close()
            raise DataError(f"cannot be read: {found['error']}", where=path, expected="a sound TFLite model")
        self.entry, self.end = found["entry"], found["end"]

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Return the first output for a batch of its first input; raises `DataError` where the child ends."""
        stream = io.BytesIO()
        np.save(stream, batch, allow_pickle=False)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `_answer` says why
            _send(self._process.stdin, stream.getvalue())
        answer = self._answer(RUN_SECONDS)
        if answer[:1] == b"{":
            words = json.loads(answer)["error"]
            raise DataError(f"cannot be used: {words}", where=self._path, expected="a sound TFLite model")
        result: np.ndarray = np.load(io.BytesIO(answer), allow_pickle=False)
        return result

    def close(self) -> None:
        """End the child."""
        children.end_reader(self._process)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()

    def _answer(self, seconds: float) -> bytes:
        assert self._process.stdout is not None
        deadline = time.monotonic() + seconds
        size = int.from_bytes(self._read(8, deadline), "little")
        return self._read(size, deadline)

    def _read(self, size: int, deadline: float) -> bytes:
        found, stream = b"", self._process.stdout
        assert stream is not None
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while len(found) < size:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    self._end("takes too long to answer")
                # Some at a time: Python makes room for all it is asked to read, and the length is the child's word.
                part = os.read(stream.fileno(), min(size - len(found), 1 << 20))
                if not part:
                    self._end(children.said_of(self._process.wait()))
                found += part
        return found

    def _end(self, why: str) -> None:
        self.close()
        raise DataError(why, where=self._path, expected="a sound TFLite model")


# ---------------------------------------------------------------- the child


def _send(stream: IO[bytes], content: bytes) -> None:
    stream.write(len(content).to_bytes(8, "little") + content)
    stream.flush()


def _facts(details: dict[str, Any]) -> dict[str, Any]:
    scale, zero = details["quantization"]
    signature = [int(n) for n in details["shape_signature"]]
    kind = np.dtype(details["dtype"]).name
    return {
        "index": int(details["index"]),
        "shape": signature,
        "dtype": kind,
        "quantization": [float(scale), int(zero)],
    }


def _serve(path: Path, ask: BinaryIO, answer: BinaryIO) -> None:
    from workbench.lazy import tf

    interpret = tf.lite.Interpreter  # imports TensorFlow before the limit: its memory is not the file's share
    _send(answer, b"ready")
    with children.bounded_memory(children.model_memory(path.stat().st_size)):
        try:
            model = interpret(str(path), num_threads=os.cpu_count())
            entry, end = model.get_input_details()[0], model.get_output_details()[0]
            _send(answer, json.dumps({"entry": _facts(entry), "end": _facts(end)}).encode())
        except (ValueError, IndexError, KeyError, TypeError, MemoryError, RuntimeError) as error:
            _complain(answer, error)
            return
        shape: tuple[int, ...] = ()
        while head := ask.read(8):
            batch = np.load(io.BytesIO(ask.read(int.from_bytes(head, "little"))), allow_pickle=False)
            try:
                # Batches are of one shape but for the last, and allocating costs time.
                if shape != batch.shape:
                    model.resize_tensor_input(entry["index"], batch.shape)
                    model.allocate_tensors()
                    shape = batch.shape
                model.set_tensor(entry["index"], batch)
                model.invoke()
                stream = io.BytesIO()
                np.save(stream, model.get_tensor(end["index"]), allow_pickle=False)
                _send(answer, stream.getvalue())
            except (ValueError, RuntimeError, MemoryError, TypeError) as error:
                _complain(answer, error)


def _complain(answer: BinaryIO, error: Exception) -> None:
    words = " ".join(str(error).split())[:300] or type(error).__name__
    _send(answer, json.dumps({"error": words}).encode())


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.stdin.buffer, children.serve_model(sys.argv[2]))
