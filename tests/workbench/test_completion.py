"""What a shell offers at the tab key, asked as bash asks: by its own function, with words that hold colons."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from stores import epoch, start

from workbench.cli import program
from workbench.tracking.journal import JournalWriter
from workbench.tracking.store import find_store

SCRIPT = """
eval "$(workbench completion bash)"
compopt() { :; }
COMP_LINE="$1"; COMP_POINT=${#COMP_LINE}; COMP_WORDBREAKS=$' \\t\\n"\\'@><=;|&(:'
_workbench_completion workbench
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def place(project: Path, root: Path) -> Path:
    for number, name in enumerate(("base", "label_smoothing=0.1"), start=1):
        run = f"20260101T00000{number}Z-0000000{number}"
        with JournalWriter(find_store().journal(run)) as journal:
            journal.append(start(run, study="digits", name=name, seed=3))
            journal.append(epoch(1, loss=1.0))
    (project / "experiments" / "digits.py").write_text("experiment = base.but(name='wide')\n")
    command = project / "bin" / "workbench"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{root}" exec "{sys.executable}" -m workbench "$@"\n')
    command.chmod(0o755)
    return project


def offered(place: Path, line: str) -> list[str]:
    environment = {**os.environ, "PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", SCRIPT, "-", line],
        cwd=place,
        env=environment,
        text=True,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_bash_completes_commands_options_runs_and_specs(place: Path) -> None:
    assert offered(place, "workbench forec") == ["forecast"]
    assert "--sort" in offered(place, "workbench list --so")
    assert offered(place, "workbench show dig") == ["digits/label_smoothing=0.1:3", "digits/base:3"]
    assert offered(place, "workbench show digits/base:") == [
        "3"
    ]  # bash replaces the last piece of the word alone
    assert offered(place, "workbench show digits/label_smoothing=0") == ["0.1:3"]
    assert offered(place, "workbench show @l") == ["last"]
    assert offered(place, "workbench run exp") == ["experiments/digits.py"]
    assert "wide" in offered(place, "workbench run experiments/digits.py w")
    assert offered(place, "workbench report d") == ["digits"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str) -> None:
    done = CliRunner().invoke(program, ["completion", shell])
    assert done.exit_code == 0 and "_WORKBENCH_COMPLETE" in done.output
