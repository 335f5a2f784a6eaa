"""How runs end, and how they go on: the chapter of docs/records.md on crashes word for word, retries, no memory."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest
from running import accepted, arrays, finished, journal, start, write_project

from workbench.tracking.store import find_store, read_runs

pytestmark = pytest.mark.tensorflow

SPEC = '''"""Does it end as it should?"""
import sys
sys.path.insert(0, {tests!r})
from specs import small
from workbench import E, Safety
base = small(stages=small().stages[:2], safety=Safety(every_steps=2))
experiments = [
    base,
    base.but(safety=Safety(retries=1), name="tries-again"),
    base.but(embedding=E(size=2_000_000_000), name="too-large"),
]
'''
WHOLE, KILLED = "20260101T000000Z-00000000", "20260101T000000Z-00000001"

# The writes of a state that are named by their numbers fail as those of a flaky network disk do.
FLAKY = """
import errno, sys
from workbench.train import checkpoint_file
from workbench.cli import main
write, calls, failing = checkpoint_file.write, [], [int(word) for word in sys.argv[1].split(",")]
def flaky(path, state):
    calls.append(path)
    if len(calls) in failing:
        raise OSError(errno.EIO, "Input/output error")
    return write(path, state)
checkpoint_file.write = flaky
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A project in which one run was done undisturbed and another one killed."""
    folder = write_project(tmp_path_factory.mktemp("project"), SPEC, "quickstart")
    words = ("run", "experiments/quickstart.py", "base", "--run-name")
    whole = start(root, folder, *words, WHOLE)
    out, _ = whole.communicate(timeout=1200)
    assert whole.returncode == 0, out
    killed = start(root, folder, *words, KILLED, planted=("between stages", 1))
    killed.communicate(timeout=1200)
    assert killed.returncode == -signal.SIGKILL
    return folder


def chapter(root: Path) -> list[str]:
    """Return the commands of the chapter of docs/records.md on crashes."""
    text = (root / "docs" / "records.md").read_text(encoding="utf-8")
    section = text.split("\n## After a crash\n")[1].split("\n## ")[0]
    return re.findall(r"^\$ workbench (.+)$", section, re.MULTILINE)


def test_the_commands_of_the_readmes_chapter_do_what_it_says(place: Path, root: Path) -> None:
    commands = chapter(root)
    assert [words.split()[0] for words in commands] == ["list", "resume", "run", "sync", "rebuild"]
    said = {}
    for command in commands:
        words = command.replace("RUN", KILLED).split()
        if (
            words[0] == "run"
        ):  # of the killed variant; it is finished by then, so that nothing is trained twice
            words.append("base")
        done = start(root, place, *words)
        said[words[0]], _ = done.communicate(timeout=1200)
        assert done.returncode == 0, said
    assert "interrupted" in said["list"]
    assert "resumed after epoch" in said["resume"]
    assert "2 were in sync" in said["sync"]
    assert "2 runs rebuilt" in said["rebuild"]
    assert accepted(place, KILLED) == accepted(place, WHOLE)
    assert all((arrays(place, KILLED)[name] == value).all() for name, value in arrays(place, WHOLE).items())
    assert {row.status for row in read_runs(find_store(str(place / "mlruns")))} == {"finished"}


def flaky(place: Path, failing: str, run: str) -> subprocess.CompletedProcess[str]:
    words = ["run", "experiments/quickstart.py", "tries-again", "--run-name", run]
    return finished(place, *words, program=("-c", FLAKY, failing))


def test_a_failure_that_passes_is_tried_again_and_changes_nothing(place: Path, root: Path) -> None:
    run = "20260101T000000Z-00000002"
    done = flaky(place, "3", run)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trying again (0 more)" in done.stderr
    assert journal(place, run).attempt == 2
    assert accepted(place, run) == accepted(place, WHOLE)


def test_retries_have_a_limit(place: Path, root: Path) -> None:
    run = "20260101T000000Z-00000003"
    done = flaky(place, "3,4", run)
    assert done.returncode == 1
    assert done.stderr.count("trying again") == 1
    assert "Input/output error" in done.stderr.splitlines()[-1]
    end = journal(place, run).end
    assert end is not None
    assert (end.status, journal(place, run).attempt) == ("failed", 2)


def test_a_network_larger_than_the_memory_fails_with_its_reason(place: Path, root: Path) -> None:
    run = "20260101T000000Z-00000004"
    process = start(root, place, "run", "experiments/quickstart.py", "too-large", "--run-name", run)
    out, _ = process.communicate(timeout=1200)
    assert process.returncode == 1, out
    assert "out of memory; try a smaller batch_size or network" in out
    end = journal(place, run).end
    assert end is not None
    assert end.status == "failed"
