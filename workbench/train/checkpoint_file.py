"""The file of a state: one safetensors file whose digest covers every value, two generations and the best one.

It is written to a temporary file, flushed to disk and renamed; the digest stands both inside it and in the journal.
The best one lies beside the generations as a hard link. Writing happens behind the training.
"""

from __future__ import annotations

import errno
import json
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.errors import RecordError
from workbench.files import replacing
from workbench.security import safe_json
from workbench.train import checkpoint, state_facts
from workbench.train.checkpoint import State

# Two: while the newest is being written, or found damaged, the one before it must be there.
GENERATIONS = 2
BEST = "best.safetensors"
SUFFIX = ".safetensors"


def digest(state: State) -> str:
    """Return the XXH3 hash (128 bits) over every name, type, shape and value and over the facts."""
    import xxhash

    found = xxhash.xxh3_128(json.dumps(state.facts, sort_keys=True).encode())
    for name in sorted(state.arrays):
        array = state.arrays[name]
        # Type and shape are hashed with the bytes: the same bytes in another shape are another state.
        found.update(f"|{name}|{array.dtype.str}|{array.shape}|".encode())
        found.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return str(found.hexdigest())


def write(path: Path, state: State) -> str:
    """Write `state` durably to `path` and return its digest; on failure nothing of it is left."""
    value = digest(state)
    facts = {"facts": json.dumps(state.facts, sort_keys=True), "digest": value}
    # Durable before it has its name: whoever finds the name finds the whole state.
    with replacing(path, durable=True) as temporary:
        _save(dict(state.arrays), temporary, facts)
    return value


def _save(arrays: dict[str, np.ndarray], path: Path, facts: dict[str, str]) -> None:
    """Write a safetensors file; its errors of the system come back as the OSError that they are."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        save_file(arrays, path, metadata=facts)
    except SafetensorError as error:
        # The library flattens the system's error into a text; "no space" must stay an OSError with its number, for
        # the runner ends differently on it.
        number = re.search(r"os error (\d+)", str(error))
        code = int(number.group(1)) if number else errno.EIO
        raise OSError(code, os.strerror(code), str(path)) from error


def read(path: Path) -> State:
    """Return the state in `path`; raises `RecordError` where any byte of it is not as written."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        state = State(arrays, safe_json.loads(metadata["facts"]))
        # Inside the try: a damaged file may decode into sizes that do not fit memory, or names that are not text.
        sound = digest(state) == metadata["digest"]
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise RecordError(f"no sound checkpoint: {error}", where=path) from error
    if not sound:
        raise RecordError("no sound checkpoint: its digest does not fit its content", where=path)
    # A state of another machine may say anything with a fitting digest, and what it says leads to files and rows.
    if not state_facts.are_possible(state.facts):
        raise RecordError("no sound checkpoint: it says what no training does", where=path)
    return state


def packed(state: State | None) -> bytes:
    """Return a state as bytes for another process; none of it for None."""
    if state is None:
        return b""
    from safetensors.numpy import save

    return bytes(save(dict(state.arrays), metadata={"facts": json.dumps(state.facts)}))


def unpacked(content: bytes) -> State | None:
    """Return the state that `packed` made bytes of."""
    if not content:
        return None
    from safetensors.numpy import load

    # `load` gives arrays only; the facts stand in the header, whose length is the first eight bytes.
    length = int.from_bytes(content[:8], "little")
    facts = json.loads(content[8 : 8 + length])["__metadata__"]["facts"]
    return State(load(content), json.loads(facts))


def generations(folder: Path) -> list[Path]:
    """Return the checkpoints of a run, the newest first (without the best one)."""
    return sorted((p for p in folder.glob(f"e*{SUFFIX}")), reverse=True)


@dataclass(frozen=True)
class Chosen:
    """The state that a run goes on from, its file, and why each newer file was passed over."""

    state: State | None
    file: str = ""
    passed: tuple[str, ...] = ()


def choose(folder: Path, run: str | None = None) -> Chosen:
    """Return the newest sound state in `folder` (of `run`), and what is wrong with those before it."""
    passed: list[str] = []
    for path in generations(folder):
        try:
            state = read(path)
        except RecordError as error:
            passed.append(f"{path.name}: {error.what}")
            continue
        if run is None or state.facts.get("run", run) == run:
            return Chosen(state, path.name, tuple(passed))
        passed.append(f"{path.name}: it is a state of run {state.facts['run']}")
    return Chosen(None, "", tuple(passed))


def newest(folder: Path) -> State | None:
    """Return the newest sound state in `folder`, passing over damaged ones; None where there is none."""
    return choose(folder).state


def chosen(folder: Path, which: str = "best") -> tuple[State | None, str]:
    """Return the `best` or `last` state in `folder`, and in words which of them it is.

    A run of which no epoch was the best yet has its last state only, and the words say so.
    """
    path = folder / BEST
    if which == "best" and path.exists():
        state = read(path)
        return state, f"best, epoch {checkpoint.epoch_of(state)}"
    last = newest(folder)
    note = "; it has no best one" if which == "best" else ""
    return last, "no checkpoint" if last is None else f"last, epoch {checkpoint.epoch_of(last)}{note}"


def file_name(epoch: int, step: int) -> str:
    """Return the file name of the state after `step` optimizer steps, in or after `epoch`."""
    return f"e{epoch:05d}-s{step:09d}{SUFFIX}"


def kept_name(epoch: int, best: bool = False) -> str:
    """Return the name of the state after `epoch` that is kept for branches, or of the best one until then."""
    return f"kept-{epoch:05d}{'-best' if best else ''}{SUFFIX}"


class Saver:
    """Writes states behind the training, one at a time, and keeps two generations and the best."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def save(
        self,
        state: State,
        name: str,
        best: bool,
        kept: int | None = None,
        then: Callable[[str, str], None] = lambda file, digest: None,
    ) -> None:
        """Begin to write `state` as `name`; `then(file, digest)` is called when it is durable.

        `kept` is the epoch for whose branches the state is kept for good, with the best one until then.
        Waits for the write before it, and raises what went wrong there.
        """
        # One writer at a time: two would race for the generations that `_forget` removes.
        self.wait()

        def work() -> None:
            try:
                # The file durable before its links, the links before old generations go, the journal's row last:
                # whatever moment a kill comes at, what the journal names is there.
                value = write(self.folder / name, state)
                if best:
                    self._link(name, BEST)
                if kept is not None:
                    self._link(name, kept_name(kept))
                    if (self.folder / BEST).exists():
                        self._link(BEST, kept_name(kept, best=True))
                self._forget(name)
                then(name, value)
            except BaseException as error:  # noqa: BLE001 - handed to the training thread by wait()
                self._error = error

        self._thread = threading.Thread(target=work, name="checkpoint", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the last state is durable; raises what its writing raised."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        # Taken out as it is raised: it ends one call, not every later one.
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _link(self, name: str, link: str) -> None:
        with replacing(self.folder / link, durable=True) as temporary:
            os.link(self.folder / name, temporary)

    def _forget(self, newest_name: str) -> None:
        for old in generations(self.folder)[GENERATIONS:]:
            # A run taken back to an older state writes names that sort before those already there.
            if old.name != newest_name:
                old.unlink()
