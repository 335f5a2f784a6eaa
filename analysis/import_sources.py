"""What `workbench import` reads at once, by what its runs are known again, and what of it is kept with them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analysis.frames import Records
from analysis.sources import Options, expand, load, read_files
from analysis.sources.resolve import is_store
from analysis.sources.store import is_address
from workbench.errors import RecordError
from workbench.names import user_directions
from workbench.security.foreign_files import opened
from workbench.tracking.store import Store
from workbench.tracking.tracker import Tracker

HASHED_BYTES = 1 << 20


@dataclass(frozen=True)
class Source:
    """What is read at once: files or folders, or another store by its address."""

    paths: list[Path]
    address: str = ""

    @property
    def where(self) -> str:
        return self.address or str(self.paths[0])

    def read(self, options: Options) -> Records:
        """Return the records of this source."""
        return load([self.address], options=options) if self.address else read_files(self.paths, options)


def sources_of(item: str, together: bool, store: Store) -> list[Source]:
    """Return what an item means: files or folders, one by one, or a store of another program."""
    if is_address(item):
        return [Source([], item)]
    paths = expand(item)
    if not paths:
        raise RecordError("no such file", where=item)
    found = []
    for path in paths:
        if is_store(path):
            if path.resolve() in (store.root, store.database):
                raise RecordError("is the store to import into", where=path, do="give --store another place")
            if (path / "journal").is_dir():
                raise RecordError("is a store of the workbench", where=path, do=f"`workbench merge {path}`")
            found.append(Source([path], str(path)))
        else:
            found.append(Source([path]))
    return found


def digest(paths: Sequence[Path], options: Options) -> str:
    """Return the SHA-256 of the files' contents and of the options that change what is read of them."""
    found = hashlib.sha256()
    for path in paths:
        for file in members(path):
            found.update(file.name.encode())
            with opened(file) as stream:
                while block := stream.read(HASHED_BYTES):
                    found.update(block)
    found.update(_said(options).encode())
    return found.hexdigest()


def _said(options: Options) -> str:
    """Return the options that change what is read, as text; nothing for none. Younger ones are left out unless given,
    so that what was imported before they were there is known again."""
    plain = replace(options, names=(), stage_names=())
    return repr(plain).replace(", epochs_from=None", "") if plain != Options() else ""


def members(path: Path) -> list[Path]:
    """Return a file itself, or all files below a folder."""
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def identity_of(
    records: Records,
    source: Source,
    own: Path | None,
    number: int,
    options: Options,
    given: Mapping[str, Any],
) -> str:
    """Return the hash of one run's content and of how it was understood."""
    if source.address:
        columns = ["metric", "epoch", "value"]
        content = records.epochs[columns].to_csv(index=False) + str(records.runs["run"].iloc[0])
        base = hashlib.sha256((content + _said(options)).encode()).hexdigest()
    elif own is not None:  # one of many runs in a folder of MLflow: the others are none of its business
        base, number = digest([own], options), 0
    else:
        base = digest(source.paths, options)
    said = {
        **given,
        **{name: side for name, side in user_directions().items() if name in set(records.epochs["metric"])},
    }
    extra = f":{sorted(said.items())}" if said else ""
    return hashlib.sha256(f"{base}:{number}{extra}".encode()).hexdigest()


def own_folder(records: Records, source: Source) -> Path | None:
    """Return the folder of a run of MLflow's within the folder that was named; None for any other source."""
    origin = Path(str(records.runs["origin"].iloc[0]))
    inside = not source.address and any(
        path.is_dir() and path in (origin, *origin.parents) for path in source.paths
    )
    return origin if inside and (origin / "meta.yaml").is_file() else None


def keep_originals(tracker: Tracker, source: Source, own: Path | None) -> None:
    """Keep what a run was read from with it: copies of records, which may grow, and links to a run's artifacts."""
    if source.address:  # a database of many runs: what is of this one stands in the journal
        return
    for path in [own] if own is not None else source.paths:
        for file in members(path):
            inner = file.name if file == path else f"{path.name}/{file.relative_to(path).as_posix()}"
            if own is not None and file.is_relative_to(own / "artifacts"):
                tracker.artifact(f"original/{inner}", path=file)
            else:
                tracker.artifact(f"original/{inner}", text=file.read_bytes())
