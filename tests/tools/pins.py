"""`make pins`: resolve pyproject.toml anew for every Python of the project and write constraints.txt.

uv resolves for each Python without having it, from the packages' metadata alone (pip would download gigabytes of
wheels). Where the Pythons differ, a line carries those that it is for.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
PLATFORM = "x86_64-manylinux_2_28"
HEADER = "# The pinned set for Python 3.10 to 3.13 on Linux x86-64: versions only. `make pins` renews it."


def resolve(python: str) -> dict[str, str]:
    """Return the version of every package that the project and all its extras need under `python`."""
    words = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--all-extras", "--upgrade"]
    words += ["--python-version", python, "--python-platform", PLATFORM, "pyproject.toml"]
    # The machine's own certificates, as pip takes them: proxies of companies and universities sign with theirs.
    environment = {"UV_NATIVE_TLS": "1", **os.environ}
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    pairs = (line.split("==") for line in done.stdout.splitlines() if "==" in line)
    return {_plain(name.partition("[")[0]): version.strip() for name, version in pairs}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def marker(first: int, last: int, pythons: Sequence[str] = PYTHONS) -> str:
    """Return the marker of the Pythons from `first` to `last` (positions), empty for all."""
    above = [f"python_version >= '{pythons[first]}'"] if first else []
    below = [f"python_version < '{pythons[last + 1]}'"] if last + 1 < len(pythons) else []
    return "; " + " and ".join([*above, *below]) if above or below else ""


def merged(found: Sequence[dict[str, str]]) -> list[str]:
    """Return the lines for all Pythons: one for each run of neighbours that agree."""
    lines = []
    for name in sorted({name for versions in found for name in versions}):
        versions = [of.get(name) for of in found]
        first = 0
        for last, version in enumerate(versions):
            if last + 1 == len(versions) or versions[last + 1] != version:
                if version is not None:
                    lines.append(f"{name}=={version}{marker(first, last)}")
                first = last + 1
    return lines


def main() -> int:
    """Write constraints.txt; return the exit status."""
    found = [resolve(python) for python in PYTHONS]
    (ROOT / "constraints.txt").write_text("\n".join([HEADER, *merged(found)]) + "\n", encoding="utf-8")
    print(f"constraints.txt: {len({name for of in found for name in of})} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
