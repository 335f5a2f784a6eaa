"""The README's chapter "From one device to a cluster", its part for one machine, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest
from machines_chapter import chapter_project, commands, done

from workbench.jobs.placement import machine
from workbench.tracking.runs import read_states
from workbench.tracking.store import find_store

pytestmark = pytest.mark.tensorflow


@pytest.mark.skipif(len(machine().cores) < 2, reason="the chapter's machine has two devices")
def test_the_chapters_commands_for_one_machine_do_what_it_says(tmp_path: Path) -> None:
    one, two, many, again = commands()[:4]
    folder = chapter_project(tmp_path, variants=1)
    assert "epoch 1/1" in done(folder, one)
    assert "2 devices, batches of 16 = 2 x 8" in done(folder, two)
    assert done(folder, many).count("done in") == 2
    assert done(folder, again).count("left alone") == 2
    states = read_states(find_store(str(folder / "mlruns")))
    assert [state.status for state in states] == ["finished"] * 4
    ids = {state.journal.start.id for state in states if state.journal and state.journal.start}
    assert len(ids) == 1  # devices are not part of what an experiment is
