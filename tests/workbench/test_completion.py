"""What a shell offers at the tab key, asked by each shell itself, with words that hold colons and commas."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
import time
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
    for number, name in enumerate(("base", "label_smoothing=0.1", "units=(8, 4)"), start=1):
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


def offered(place: Path, line: str, between: str | None = None) -> list[str]:
    environment = {**os.environ, "PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", SCRIPT, "-", line],
        cwd=place,
        env=environment,
        text=True,
        capture_output=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().split(between)


def test_bash_completes_commands_options_runs_and_specs(place: Path) -> None:
    assert offered(place, "workbench forec") == ["forecast"]
    assert "--sort" in offered(place, "workbench list --so")
    assert offered(place, "workbench show digits/b") == ["digits/base:3"]
    assert len(offered(place, "workbench show dig", "\n")) == 3
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


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes_commands_options_runs_and_specs(place: Path) -> None:
    def asked(line: str) -> list[str]:
        text = f"workbench completion fish | source; complete -C {line!r}"
        path = f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"
        words = ["fish", "--no-config", "-c", text]
        done = subprocess.run(
            words, cwd=place, env={**os.environ, "PATH": path}, text=True, capture_output=True, timeout=1200
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    assert asked("workbench fore") == [
        "forecast\tForecast final metrics with intervals, and rank runs by whether they are worth continuing."
    ]
    assert set(asked("workbench show dig")) == {
        "digits/base:3",
        "digits/label_smoothing=0.1:3",
        "digits/units=(8, 4):3",
    }
    assert asked("workbench show digits/base:") == ["digits/base:3"]
    assert "wide" in asked("workbench run experiments/digits.py w")


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_completes_commands_options_runs_and_specs(place: Path) -> None:
    ours, theirs = pty.openpty()
    path = f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TERM": "xterm", "HOME": str(place)}
    shell = subprocess.Popen(
        ["zsh", "-f", "-i"], cwd=place, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    try:
        keep = 'keep() { print -r -- "$BUFFER" > kept.new; mv kept.new kept; BUFFER= }; zle -N keep; bindkey "^Xk" keep'
        line = f'eval "$(workbench completion zsh)"; {keep}; print > kept\n'
        assert typed(ours, place, line) == ""
        cases = {
            "workbench fore": "workbench forecast ",
            "workbench show digits/base:": "workbench show digits/base:3 ",
            "workbench show digits/label_smoothing=0": "workbench show digits/label_smoothing=0.1:3 ",
            "workbench show digits/u": r"workbench show digits/units=\(8,\ 4\):3 ",
            "workbench run experiments/digits.py w": "workbench run experiments/digits.py wide ",
        }
        for given, wanted in cases.items():
            assert typed(ours, place, f"{given}\t\x18k").rstrip() == wanted.rstrip()
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)
        os.close(theirs)


def typed(terminal: int, place: Path, keys: str) -> str:
    """Type `keys` into a shell and return what its line became, which it keeps in a file."""
    (place / "kept").unlink(missing_ok=True)
    os.write(terminal, keys.encode())
    deadline = time.monotonic() + 1200
    while not (place / "kept").exists():
        assert time.monotonic() < deadline, os.read(terminal, 65536)
        time.sleep(0.05)
    return (place / "kept").read_text().removesuffix("\n")
