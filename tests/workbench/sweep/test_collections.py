"""What a trial leaves behind is collected after it, and libraries are not looked through for that."""

from __future__ import annotations

import gc
from types import SimpleNamespace

import pytest

from workbench.sweep import search


@pytest.mark.parametrize("ends", [lambda: SimpleNamespace(status="STOPPED"), lambda: 1 / 0])
def test_what_is_there_before_the_trials_is_spared_until_they_end(ends):
    spared = []

    class Oracle:
        def create_trial(self, worker: str):
            spared.append(gc.get_freeze_count())
            return ends()

    before = gc.get_freeze_count()
    try:
        search.run_trials(Oracle(), None, "here")
    except ZeroDivisionError:
        pass
    assert spared[0] > before + 1000
    assert gc.get_freeze_count() == 0
