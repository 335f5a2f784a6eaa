"""`make pins`: resolve pyproject.toml anew for Python 3.10 and 3.11 and write constraints.txt.

Both interpreters must be on this machine. pip resolves without installing; where the two differ,
a line carries the Python version it is for. Horovod, which is built from source, is taken as declared.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = "gpu,onnx,ann,ray,server,s3,test"
BY_HAND = {"horovod": "0.28.1"}
HEADER = "# The pinned set for Python 3.10 and 3.11 on Linux x86-64: versions only. `make pins` renews it."


def resolve(python: str) -> dict[str, str]:
    """Return the version of every package that the project and its extras need under `python`."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "environment"
        subprocess.run([python, "-m", "venv", str(environment)], check=True)
        pip = [
            str(environment / "bin" / "python"),
            "-m",
            "pip",
            "-q",
            "--disable-pip-version-check",
            "install",
        ]
        subprocess.run([*pip, "--upgrade", "pip"], check=True)
        report = Path(folder) / "report.json"
        wanted = ["--dry-run", "--ignore-installed", "--report", str(report), f"{ROOT}[{EXTRAS}]"]
        subprocess.run([*pip, *wanted], check=True)
        packages = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    return {_plain(item["name"]): item["version"] for item in packages if item["name"] != "workbench"}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def merged(older: dict[str, str], newer: dict[str, str]) -> list[str]:
    """Return the lines for both Pythons: one where they agree, one each where they do not."""
    lines = []
    for name in sorted({*older, *newer}):
        if older.get(name) == newer.get(name):
            lines.append(f"{name}=={older[name]}")
            continue
        if name in older:
            lines.append(f"{name}=={older[name]}; python_version < '3.11'")
        if name in newer:
            lines.append(f"{name}=={newer[name]}; python_version >= '3.11'")
    return lines


def main() -> int:
    """Write constraints.txt; return the exit status."""
    older, newer = (resolve(python) | BY_HAND for python in ("python3.10", "python3.11"))
    (ROOT / "constraints.txt").write_text("\n".join([HEADER, *merged(older, newer)]) + "\n", encoding="utf-8")
    print(f"constraints.txt: {len({*older, *newer})} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
