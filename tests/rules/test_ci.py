"""What the change's run makes of the other stack: tests that fail count, want of time, Python or network is said."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from source import ROOT

# Stands in for make, timeout and the environment's Python; variables say what each of them meets.
PROGRAMS = {
    "bin/make": """#!/bin/bash
echo "make $* [${PYTEST_ADDOPTS:-}]" >> calls
case "$*" in
  *"python PYTHON="*) [[ " $PYTHONS " == *" ${3#*=} "* ]] ;;
  *.installed-test*) exit $INSTALL ;;
  stack*) exit $STACK ;;
esac
""",
    "bin/timeout": """#!/bin/bash
echo "timeout $3" >> calls
[[ -z $SLOW || "$*" != *"$SLOW"* ]] || exit 124
shift 3
exec "$@"
""",
    ".venv/bin/python": """#!/bin/bash
case "$*" in
  -c*) exit $NEWER ;;
  *pip*) exit $NETWORK ;;
esac
""",
}
USUAL = {"PYTHONS": "python3.13", "INSTALL": "0", "STACK": "0", "SLOW": "", "NEWER": "0", "NETWORK": "0"}


def run(folder: Path, gone: int, **met: str) -> tuple[int, str, list[str]]:
    """Run the script in a folder of stand-ins; return its status, what it said and what it called."""
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "other_stack", folder / ".ci")
    for name, text in PROGRAMS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    environment = {**os.environ, **USUAL, **met, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    environment.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(
        [str(folder / ".ci" / "other_stack"), str(gone)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    calls = (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []
    return done.returncode, done.stdout + done.stderr, calls


def test_the_newest_python_is_installed_and_its_tests_end_at_the_first_failure(tmp_path):
    status, said, calls = run(tmp_path, 900, PYTHONS="python3.12 python3.13")
    assert (status, said) == (0, "")
    words = "PYTHON=python3.13 VENV=.venv-3.13"
    assert [call for call in calls if not call.startswith("timeout")][1:] == [
        f"make .venv-3.13/.installed-test {words} []",
        f"make stack {words} OTHER=.venv/bin/python [ -x]",
    ]
    waits = [int(call.split()[1]) for call in calls if call.startswith("timeout")]
    assert all(900 + wait <= 39 * 60 for wait in waits)


@pytest.mark.parametrize(
    "gone, met, status, said",
    [
        (900, {"STACK": "2"}, 2, ""),
        (900, {"INSTALL": "2"}, 2, ""),
        (900, {"PYTHONS": "python3.12"}, 0, ""),
        (900, {"INSTALL": "2", "NETWORK": "1"}, 0, "package index does not answer"),
        (900, {"SLOW": "installed-test"}, 0, "before it was installed"),
        (900, {"SLOW": "stack"}, 0, "what it had reached passed"),
        (900, {"PYTHONS": ""}, 0, "neither Python 3.12 nor 3.13"),
        (900, {"NEWER": "1"}, 0, "Python 3.10 or 3.11 is not on this machine"),
        (2000, {"STACK": "2"}, 0, "minutes are gone"),
        (9000, {"STACK": "2"}, 0, "minutes are gone"),
    ],
)
def test_a_failure_counts_and_a_want_is_said_in_one_line(tmp_path, gone, met, status, said):
    found, text, _ = run(tmp_path, gone, **met)
    assert found == status
    assert said in text
    assert text.count("\n") == (1 if said else 0)


def test_the_change_runs_it_after_all_tests_with_the_time_that_is_gone():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines[-2:] == ["make test", 'exec .ci/other_stack "$SECONDS"']
