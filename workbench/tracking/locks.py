"""Locks between processes that the kernel frees when their holder dies.

`views.lock` beside a journal: held by whoever syncs that run's views (its training, or `workbench sync`).
`.views.lock` of a store: shared by all of those, exclusive for a rebuild, which replaces the views.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.errors import StoreError
from workbench.files import lock_within
from workbench.tracking.store import Store


class Held(StoreError):
    """The lock is in other hands; trying again later is right."""


@contextmanager
def lock(path: Path, *, shared: bool = False, patience: float = 0.0, why: str = "") -> Iterator[None]:
    """Hold the lock at `path`; Held when it cannot be had within `patience` seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        # The file stays when the lock is given back: removing it would let two processes lock two files of one name.
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        raise StoreError(f"cannot be locked: {error.strerror}", where=path) from error
    try:
        if not lock_within(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, patience):
            raise Held(why or "in use by another process", where=path, do="try again later")
        yield
    finally:
        os.close(descriptor)


@contextmanager
def views_of_run(store: Store, run: str) -> Iterator[None]:
    """Be the one who writes the views of `run`, and keep a rebuild of the store away meanwhile."""
    with (
        # The store's lock first: while a rebuild replaces the views, no run may begin to write one.
        lock(store.root / ".views.lock", shared=True, why="the store is being rebuilt"),
        lock(store.run_folder(run) / "views.lock", why=f"another process is writing the views of {run}"),
    ):
        yield


@contextmanager
def all_views(store: Store, patience: float = 2.0) -> Iterator[None]:
    """Keep everybody else from writing any view of the store."""
    why = "runs of this store are being recorded"
    with lock(store.root / ".views.lock", patience=patience, why=why):
        yield
