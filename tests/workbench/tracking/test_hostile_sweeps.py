"""A sweep's folder that came by a merge and holds what none can: told, and no other sweep is hidden by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench.errors import RecordError
from workbench.tracking import sweeps
from workbench.tracking.store import find_store

GOOD, BAD = "20260101T000001Z-00000001", "20260101T000002Z-00000002"
DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000  # Python 3.13 reads 5,000


@pytest.mark.parametrize("facts", [DEEP, "[]", "", '{"name": []}', "\udcff"], ids=lambda text: text[:8])
def test_facts_of_one_sweep_hide_no_other(tmp_path: Path, facts: str) -> None:
    store = find_store(str(tmp_path / "mlruns"))
    for run, text in ((GOOD, json.dumps({"name": "grid", "study": "margin"})), (BAD, facts)):
        sweeps.folder(store, run).mkdir(parents=True)
        (sweeps.folder(store, run) / sweeps.FACTS).write_text(text, errors="surrogateescape")
    assert sweeps.require(store, "grid").run == GOOD
    assert sweeps.newest(store, "margin", "grid").run == GOOD
    with pytest.raises(RecordError):
        sweeps.require(store, "no such sweep")


@pytest.mark.parametrize(
    "state",
    [
        DEEP,
        '{"trials": 3}',
        '{"trials": [3]}',
        '{"trials": [{"id": "1", "values": {}, "status": "x"}]}',
        '{"trials": [{"id": "1", "values": {"workbench": "{}"}, "status": 1, "result": [1]}]}',
        '{"trials": [{"id": "1", "result": {"epoch": 1e999}}, {"id": 2}]}',
    ],
    ids=lambda text: text[:20],
)
def test_a_state_that_cannot_be_is_one_line(tmp_path: Path, state: str) -> None:
    store = find_store(str(tmp_path / "mlruns"))
    place = sweeps.folder(store, GOOD)
    place.mkdir(parents=True)
    (place / sweeps.FACTS).write_text('{"name": "grid"}')
    (place / sweeps.STATE).write_text(state)
    with pytest.raises(RecordError) as answer:
        sweeps.read(store, GOOD)
    assert "\n" not in str(answer.value) and len(str(answer.value)) < 1000
