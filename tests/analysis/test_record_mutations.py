"""Real records, damaged at random: what can be read is read, and a refusal is one line, never a traceback.

`WORKBENCH_MUTATION_SECONDS=600` lets it go on for ten minutes; otherwise it takes a few seconds.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.frames import best
from analysis.sources import load
from analysis.tables.summary import best_lines, default_metric
from workbench.errors import WorkbenchError

SECONDS = float(os.environ.get("WORKBENCH_MUTATION_SECONDS", "0"))
EXAMPLES = 40  # at once; more follow as long as there is time
LARGEST = 60_000  # bytes kept of a file: damage near its beginning is what readers have to bear
KINDS = ("cut", "drop", "repeat", "bytes", "swap", "insert", "numbers")
EDGES = (
    b"nan",
    b"-1",
    b"1e999",
    b"",
    b"inf",
    b"99999999999999999999",
    b"0.5.5",
    b"\xff\xfe",
    b"[1, 2]",
    b"\0",
)


def sources(folder: Path) -> list[Path]:
    records = folder / "records"
    found = [path for path in records.iterdir() if path.suffix in (".csv", ".json", ".log")]
    found += list((folder / "logs").rglob("*.log")) + list((folder / "logs").rglob("*tfevents*"))
    return sorted([*found, *(records / "resumed_events").iterdir(), *(folder / "histories").rglob("*.json")])


def mutated(content: bytes, draws: list[tuple[str, float, int]]) -> bytes:
    """Return the content after some damages, each of a kind, at a place (0 to 1), of a size."""
    for kind, place, size in draws:
        at = int(place * len(content))
        lines = content.split(b"\n")
        line = int(place * len(lines))
        if kind == "cut":
            content = content[:at]
        elif kind == "drop":
            content = b"\n".join(lines[:line] + lines[line + 1 + size % 5 :])
        elif kind == "repeat":
            content = b"\n".join(lines[:line] + lines[line : line + 1 + size % 9] * 2 + lines[line:])
        elif kind == "bytes":
            content = content[:at] + bytes([size % 256]) + content[at + 1 :]
        elif kind == "swap":
            other = size % max(len(lines), 1)
            if lines and line < len(lines):
                lines[line], lines[other] = lines[other], lines[line]
            content = b"\n".join(lines)
        elif kind == "insert":
            content = content[:at] + content[size % 2000 : size % 2000 + 80] + content[at:]
        else:
            content = content[:at] + EDGES[size % len(EDGES)] + content[at + size % 4 :]
    return content


def look(path: Path) -> None:
    """Read a record and ask of it what the commands ask; only a refusal in one line may come."""
    try:
        found = load([path])
        assert (found.epochs["epoch"] >= 1).all()
        assert found.epochs["epoch"].max() <= np.iinfo("int32").max
        best_lines(found)
        best(found.epochs, default_metric(found))
    except WorkbenchError as error:
        if "\n" in str(error):
            pytest.fail(f"a refusal of several lines: {error}")


def test_damaged_records_are_read_or_refused_in_one_line(real_data, tmp_path):
    files = sources(real_data)
    began = time.monotonic()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(
        st.sampled_from(files),
        st.lists(
            st.tuples(st.sampled_from(KINDS), st.floats(0, 1), st.integers(0, 10**6)), min_size=1, max_size=4
        ),
    )
    def damaged(file: Path, draws: list[tuple[str, float, int]]) -> None:
        folder = tmp_path / "one"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        path = folder / file.name
        path.write_bytes(mutated(file.read_bytes()[:LARGEST], draws))
        look(path)

    damaged()
    while time.monotonic() - began < SECONDS:
        damaged()


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"\xff\xfe", b"{", b"[]", b"{}", b"epoch", b"epoch,\n", b"\n\n\n", b"Epoch 1/2\n"]
)
@pytest.mark.parametrize("suffix", [".csv", ".json", ".log", ".jsonl", ".pkl", ""])
def test_hardly_anything(tmp_path, content, suffix):
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    look(path)
