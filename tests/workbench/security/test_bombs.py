"""Small files that ask for much: pickles, YAML, masking, databases end soon and take little."""

from __future__ import annotations

import pickle
import sqlite3
import struct
import time
import tracemalloc
from pathlib import Path

import pytest

from workbench.errors import DataError, StoreError
from workbench.security import safe_pickle, safe_yaml
from workbench.security.masking import MARK, mask
from workbench.tracking import store as store_module
from workbench.tracking.store import Store, read_runs


def test_a_pickle_gets_no_more_than_its_file_holds() -> None:
    claim = pickle.PROTO + b"\x05" + pickle.BYTEARRAY8 + struct.pack("<Q", 1_500_000_000) + b"abc."
    tracemalloc.start()
    with pytest.raises(DataError, match="damaged"):
        safe_pickle.loads(claim)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    assert safe_pickle.loads(pickle.dumps(bytearray(b"abc"), 5)) == b"abc"


def test_yaml_refers_to_nothing_and_is_small(tmp_path: Path) -> None:
    path = tmp_path / "meta.yaml"
    path.write_text("a: 1\nb: [x, 2.5]\n")
    assert safe_yaml.read(path) == {"a": 1, "b": ["x", 2.5]}
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    for text in (
        "\n".join(lines),
        "x: " + "y" * 2_000_000,
        "!!python/object/apply:os.system [ls]",
        "[" * 5000,
    ):
        path.write_text(text)
        with pytest.raises(DataError):
            safe_yaml.read(path)


TEXTS = [
    "password" + " " * 20_000,
    "api_key" + " " * 20_000 + ":",
    "_" * 50_000,
    "a" * 50_000,
    "password='" * 5_000,
    "://a:" * 10_000,
    "eyJ-" * 10_000,
    "bearer " * 5_000,
    "token" + "\t" * 20_000 + "=" * 5_000,
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: f"{text[:12]!r}")
def test_masking_takes_time_in_proportion(text: str) -> None:
    mask("password = x1")  # the scanner is loaded once
    began = time.process_time()
    mask(text)
    assert time.process_time() - began < 3.0


def test_masking_still_finds_what_stands_in_a_long_line() -> None:
    for text in ("x " * 3000 + "password = hunter2-hunter", " " * 5000 + "--token abcdef123456"):
        assert MARK in mask(text) and "hunter2" not in mask(text) and "abcdef123456" not in mask(text)


def database(folder: Path, *words: str) -> Store:
    found = Store(folder, f"sqlite:///{folder / 'mlflow.db'}")
    connection = sqlite3.connect(found.database)
    for text in words:
        connection.execute(text)
    connection.commit()
    connection.close()
    return found


TABLES = (
    "CREATE TABLE experiments (experiment_id, name)",
    "CREATE TABLE params (run_uuid, key, value)",
    "CREATE TABLE tags (run_uuid, key, value)",
    "INSERT INTO experiments VALUES (1, 'study')",
)


def test_a_database_without_an_end_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "READ_SECONDS", 0.5)
    endless = (
        "CREATE VIEW runs AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS run_uuid, "
        "1 AS experiment_id, x AS name, x AS status, x AS start_time, x AS end_time, x AS artifact_uri, "
        "'active' AS lifecycle_stage FROM n"
    )
    store = database(tmp_path, *TABLES, endless)
    began = time.monotonic()
    with pytest.raises(StoreError, match="cannot read the records"):
        read_runs(store)
    assert time.monotonic() - began < 30


def test_a_run_of_wrong_types_is_left_out_and_no_other(tmp_path: Path) -> None:
    columns = "(run_uuid, experiment_id, name, status, start_time, end_time, artifact_uri, lifecycle_stage)"
    store = database(
        tmp_path,
        *TABLES,
        f"CREATE TABLE runs {columns}",
        "INSERT INTO runs VALUES ('good', 1, 'a', 'FINISHED', 1000, 2000, '', 'active')",
        "INSERT INTO runs VALUES ('bad', 1, 'b', 'FINISHED', 'soon', x'00', '', 'active')",
        "INSERT INTO runs VALUES ('odd', 1, 'b', 7, 1000, 2000, '', 'active')",
    )
    assert [row.mlflow_id for row in read_runs(store)] == ["good"]
