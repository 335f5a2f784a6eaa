"""Children that share one start of TensorFlow and MLflow: a server has imported both, and is forked for each child.

Importing the two takes ten seconds of a processor, which hundreds of children would each spend again. What a child
does is what `python` would do: the same program, in its own folder and environment, with its own output. Nothing of
TensorFlow has run in the server, whose only thread is the one that forks.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, TextIO

HERE = Path(__file__).resolve().parent
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["preloaded"])


class Child:
    """A child as `subprocess.Popen` would have it, as far as tests ask: output, signals and exit status."""

    def __init__(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str], apart: bool = False
    ) -> None:
        _start_server()
        readers, writers = zip(*(_context.Pipe(duplex=False) for _ in range(2 if apart else 1)))
        settings = (list(words), str(folder), dict(environment), list(writers))
        self._process = _context.Process(target=_do, args=settings)
        with _without_main():
            self._process.start()
        for writer in writers:
            writer.close()
        self._readers = readers
        streams = [os.fdopen(reader.fileno(), encoding="utf-8", closefd=False) for reader in readers]
        self.stdout: TextIO = streams[0]
        self.stderr: TextIO | None = streams[1] if apart else None
        self.pid = int(self._process.pid or 0)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status of a child that has ended, negative where a signal ended it."""
        self.returncode = self._process.exitcode
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("a child", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Return what the child writes until it ends, its errors by themselves where they are kept apart."""
        found = dict.fromkeys(("stdout", "stderr"), "")

        def read(name: str) -> None:
            stream = getattr(self, name)
            found[name] = stream.read() if stream is not None else ""

        readers = [threading.Thread(target=read, args=(name,), daemon=True) for name in found]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join(timeout)
        return found["stdout"], found["stderr"]


def _start_server() -> None:
    """Start the server where there is none yet; it finds modules by its environment alone."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)


@contextlib.contextmanager
def _without_main() -> Any:
    """Keep `multiprocessing` from importing this process's main module, pytest, into the child."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = type(sys)("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _do(words: list[str], folder: str, environment: dict[str, str], writers: list[Any]) -> None:
    """Be the process that `python WORDS` would be."""
    for number, writer in zip((1, 2), writers if len(writers) == 2 else writers * 2):
        os.dup2(writer.fileno(), number)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", 0, closefd=False), encoding="utf-8", write_through=True)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:0] = environment.get("PYTHONPATH", "").split(os.pathsep)
    try:
        _run(words)
    finally:
        import atexit

        # `multiprocessing` ends its children without this.
        atexit._run_exitfuncs()


def _run(words: list[str]) -> None:
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = words
        sys.path.insert(0, str(Path(words[0]).resolve().parent))
        runpy.run_path(words[0], run_name="__main__")
