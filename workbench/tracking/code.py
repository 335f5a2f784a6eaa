"""The version of the code that a run uses: a commit, what was changed since, and files that git does not know.

The changes are kept as a diff from which the code can be made again; a diff that holds a secret is not.
"""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.security.masking import mask, secrets_in, secrets_in_diff

# A repository on a network drive may hang; a training must not wait for its own description.
GIT_SECONDS = 10.0
# Settings of a repository by which git starts programs while it only looks, or lays out files.
NOTHING_RUN = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
LARGEST_DIFF = 5_000_000  # bytes
LARGEST_MODULE = 256_000
DIFF = "uncommitted.diff"


@dataclass(frozen=True)
class CodeState:
    """The state of the repository that holds `folder`; `top` is its root, `diff` what is not committed."""

    folder: Path
    top: Path
    commit: str
    branch: str
    diff: bytes
    untracked: tuple[str, ...]  # relative to `top`

    @functools.cached_property
    def withheld(self) -> str:
        """Why the diff cannot be kept; empty when it can."""
        text = _text(self.diff)
        if text is None:
            return "it holds bytes that are not UTF-8"
        if len(self.diff) > LARGEST_DIFF:
            return f"it is larger than {LARGEST_DIFF // 1_000_000} MB"
        found = secrets_in_diff(text)
        return f"it holds a secret: {', '.join(found[:3])}" if found else ""

    @property
    def digest(self) -> str:
        """What tells two states of changes apart; it is taken of the masked diff, so it gives no secret away."""
        return diff_digest(self.diff)

    def facts(self) -> dict[str, Any]:
        """Return what goes into the start row."""
        facts: dict[str, Any] = {
            "commit": self.commit,
            "branch": self.branch,
            "repository": str(self.top),
            "uncommitted": bool(self.diff),
            "untracked": list(self.untracked[:100]),
        }
        if self.diff:
            facts["diff"] = self.digest
            facts.update({"diff_withheld": self.withheld} if self.withheld else {})
        return facts

    def texts(self) -> dict[str, str]:
        """Return the files to keep: the diff, and loaded modules that git does not know."""
        found = {} if not self.diff or self.withheld else {DIFF: _text(self.diff) or ""}
        loaded = _loaded()
        for name in self.untracked:
            path = self.top / name
            # Only what this process has imported: an untracked folder may hold data sets.
            if path.resolve() in loaded and path.stat().st_size <= LARGEST_MODULE:
                text = _text(path.read_bytes())
                if text is not None and not secrets_in(text, code=True):
                    found[f"untracked/{name}"] = text
        return found

    def notes(self) -> tuple[str, ...]:
        """Return what a person should know now, while the code is still as it is."""
        if not self.withheld or not self.diff:
            return ()
        return (f"the uncommitted changes are not stored: {self.withheld}; `workbench rerun` will need them",)


def state(folder: Path) -> CodeState | None:
    """Return the state of the code at `folder`; None without git, repository or commit."""
    commit, top = git(folder, "rev-parse", "HEAD"), git(folder, "rev-parse", "--show-toplevel")
    if not commit or not top:
        return None
    root = Path(top.decode().strip())
    listed = _text(git(root, "ls-files", "--others", "--exclude-standard", "-z") or b"") or ""
    return CodeState(
        folder=folder,
        top=root,
        commit=commit.decode().strip(),
        branch=(git(folder, "rev-parse", "--abbrev-ref", "HEAD") or b"").decode().strip(),
        # Against HEAD, staged or not, binary files included: applied to the commit it gives the code back whole.
        diff=git(root, "diff", "HEAD", "--binary", "--no-color", "--no-ext-diff") or b"",
        untracked=tuple(name for name in listed.split("\0") if name),
    )


def diff_digest(diff: bytes) -> str:
    """Return 16 hex digits that tell diffs apart but for the secrets in them; empty for no diff."""
    return hashlib.sha256(mask(diff.decode("utf-8", "replace")).encode()).hexdigest()[:16] if diff else ""


def git(folder: Path, *words: str, given: bytes | None = None, seconds: float = GIT_SECONDS) -> bytes | None:
    """Return what git prints, or None: git missing, no repository, refused, or no answer in time."""
    # No lock files in a repository somebody works in, and no question for a password on a terminal.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", *NOTHING_RUN, "-C", str(folder), *words],
            input=given,
            capture_output=True,
            timeout=seconds,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _loaded() -> set[Path]:
    """Return the files of all modules that this process has loaded."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return {Path(file).resolve() for file in files if file}


def _text(content: bytes) -> str | None:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None
