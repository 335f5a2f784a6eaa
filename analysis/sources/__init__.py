"""Any record in, two tidy frames out: what a file is, is seen from the file itself.

`load` takes whatever a user names: files, folders, patterns, runs of the store. Each kind of record has
one module here with `read(path, options)`, which returns runs as read and remarks on what could not be read;
`sniff` says which module reads what.
"""

from __future__ import annotations

from analysis.sources.load import load, trainings
from analysis.sources.options import Options
from analysis.sources.read_files import read_files
from analysis.sources.resolve import expand, runs_meant
from analysis.sources.store import EmptyStore, read_store

__all__ = ["EmptyStore", "Options", "expand", "load", "read_files", "read_store", "runs_meant", "trainings"]
