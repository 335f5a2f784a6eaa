"""Which files belong to the project: what git tracks, or what lies there where there is no git."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

IGNORED = {".git", ".venv", "build", "datasets", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"}


@functools.cache
def tracked_files(root: Path) -> tuple[str, ...]:
    """Return the project's files relative to `root`, sorted: tracked ones, and new ones not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
    )
    if listed.returncode == 0 and listed.stdout:
        return tuple(sorted(name for name in set(listed.stdout.splitlines()) if (root / name).is_file()))
    found = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return tuple(sorted(str(path) for path in found if not _ignored(path)))


def _ignored(path: Path) -> bool:
    inside_records = path.parts[0] == "mlruns" and path.name != "README.md"
    return inside_records or not IGNORED.isdisjoint(path.parts) or path.suffix in (".pyc", ".egg-info")
