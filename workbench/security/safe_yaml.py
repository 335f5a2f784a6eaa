"""Reads a YAML file that someone else made: plain values, no references, no more than a settings file holds.

Six hundred bytes of aliases of aliases stand for billions of values as soon as anybody walks over them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.errors import DataError
from workbench.security.foreign_files import opened

LARGEST = 1_000_000  # bytes; an experiment's or run's `meta.yaml` has a thousand


def read(path: Path) -> Any:
    """Return what the YAML file at `path` holds; raises `DataError` for one that is none, too large, or refers."""
    try:
        with opened(path) as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise DataError(f"cannot be read: {error}", where=path, expected="a YAML file") from error
    return loads(content, path)


def loads(content: bytes, where: object = "YAML") -> Any:
    """Return what a YAML text holds, as `read` does; `where` is for messages."""
    import yaml

    class Plain(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("it refers to parts of itself")
            return super().compose_node(parent, index)

    if len(content) > LARGEST:
        raise DataError(f"is larger than {LARGEST:,} bytes", where=where, expected="a small YAML file")
    try:
        return Plain(content.decode("utf-8", "replace")).get_single_data()
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        words = " ".join(str(error).split())[:200]
        raise DataError(f"cannot be read: {words}", where=where, expected="a YAML file") from error
