"""Files that lie beside a record and came with it: scores, registrations, models of MLflow, pipes under their names."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stores import epoch, start

from workbench.cli import main
from workbench.errors import DataError, RecordError
from workbench.security import safe_npz
from workbench.tracking import logged_models
from workbench.tracking.journal import encode_line
from workbench.tracking.merging import merge
from workbench.tracking.pair_scores import read_pair_scores, sound_scores
from workbench.tracking.rows import EndRecord
from workbench.tracking.store import Store, find_store

RUNS = [f"20260101T00000{n}Z-0000000{n}" for n in (1, 2)]


def store_at(project: Path) -> Store:
    """Write two finished runs of one study."""
    store = find_store(str(project / "mlruns"))
    store.journals.mkdir(parents=True)
    for number, run in enumerate(RUNS):
        rows = (
            start(run, name=f"v{number}", parameters={"batch_size": 16 + number}),
            epoch(1, loss=1.0, lfw=0.5 + number / 10, lfw_thresh=0.2),
            EndRecord(status="finished"),
        )
        store.journal(run).write_bytes(b"".join(map(encode_line, rows)))
    return store


def member(name: str, header: str, body: bytes = b"") -> bytes:
    """Return an archive with one array of which only its header says what it is."""
    text = header.encode() + b" " * (63 - (10 + len(header)) % 64) + b"\n"
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body)
    return made.getvalue()


def arrays(**values: Any) -> bytes:
    made = io.BytesIO()
    np.savez(made, **values)
    return made.getvalue()


SOUND = {"scores": np.linspace(-1, 1, 40, dtype=np.float32), "same": np.arange(40) > 20}
HEADER = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }"
HOSTILE: dict[str, bytes] = {
    "no archive": b"x" * 300,
    "a torn archive": arrays(**SOUND, pairs="p", epoch=1)[:200],
    "nothing": b"",
    "another array": arrays(x=np.arange(3)),
    "objects": arrays(scores=np.array([{}], object), same=np.array([True])),
    "lengths that differ": arrays(scores=SOUND["scores"], same=np.array([True]), pairs="p", epoch=1),
    "no pairs": arrays(scores=np.zeros(0, np.float32), same=np.zeros(0, bool), pairs="p", epoch=1),
    "texts": arrays(scores=np.array(["a", "b"]), same=np.array(["c", "d"]), pairs="p", epoch="e"),
    "a table": arrays(scores=np.zeros((2, 2)), same=np.zeros((2, 2), bool), pairs="p", epoch=1),
    "an impossible epoch": arrays(**SOUND, pairs="p", epoch=np.array(np.nan)),
    "two names": arrays(**SOUND, pairs=np.array(["p", "q"]), epoch=1),
    "a shape beyond all memory": member("scores", HEADER % ("<f8", "(10000000000000,)")),
    "code for a header": member("scores", "__import__('os').abort()"),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_damaged_scores_are_told_and_cost_nobody_else(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    store = store_at(tmp_path)
    for which in ("best", "last"):
        path = store.run_artifacts(RUNS[0]) / "scores" / which / "lfw.npz"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    with pytest.raises(RecordError):
        read_pair_scores(store, RUNS[0], "lfw")
    assert sound_scores(store, RUNS[0], "lfw") is None
    caplog.clear()
    assert main(["table", "--baseline", RUNS[0], "--store", str(store.root)]) == 0
    out, _ = capsys.readouterr()
    assert RUNS[1] in out or "v1" in out
    assert any("lfw.npz" in line for line in caplog.messages)


def test_sound_scores_come_back(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    assert read_pair_scores(store, RUNS[0], "lfw") is None
    path = store.run_artifacts(RUNS[0]) / "scores" / "best" / "lfw.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(arrays(**SOUND, pairs="p", epoch=3))
    found = read_pair_scores(store, RUNS[0], "lfw")
    assert found is not None and (found.pairs, found.epoch) == ("p", 3)
    np.testing.assert_array_equal(found.scores, SOUND["scores"])
    np.testing.assert_array_equal(found.same, SOUND["same"])


def test_an_archive_gets_no_more_memory_than_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, plain=np.zeros(2_000_000))
    with monkeypatch.context() as little:
        little.setattr(safe_npz, "available_bytes", lambda: 10_000_000)
        with pytest.raises(DataError, match="of memory are free"):
            safe_npz.load(path, ("plain",))
    assert len(safe_npz.load(path, every=True)["plain"]) == 2_000_000
    (tmp_path / "link").symlink_to("link")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "."):
        with pytest.raises(DataError):
            safe_npz.load(tmp_path / name)


REGISTERED = ["[" * 100_000, "{}", "[1]", "null", '[{"time": "x"}]', '[{"name": ["a"], "time": 1}]', "\xff"]
REGISTERED += ['[{"name": "a", "time": NaN}]', '[{"name": "a", "time": 1, "version": 1e300}]']


@pytest.mark.parametrize("text", REGISTERED, ids=lambda text: text[:30])
def test_damaged_registrations_cost_no_other_run_its_views(tmp_path: Path, text: str) -> None:
    store = store_at(tmp_path)
    store.run_folder(RUNS[0]).mkdir()
    (store.run_folder(RUNS[0]) / logged_models.REGISTERED).write_bytes(text.encode("latin1"))
    logged_models.keep(store, logged_models.Registration(RUNS[1], "good", time=1.0))
    found, damaged = logged_models.all_registrations(store)
    assert [one.name for one in found] == ["good"]
    assert list(damaged) == ([] if text == "{}" else [RUNS[0]])


PLAIN = (
    "flavors:\n  python_function: {env: {conda: conda.yaml}, loader_module: mlflow.tensorflow}\n"
    "  tensorflow: {code: null, model_type: tf2-module, saved_model_dir: tf2model}\n"
)
CODE: list[Callable[[str], str]] = [
    lambda text: text.replace("mlflow.tensorflow", "payload"),
    lambda text: text.replace("loader_module", "code: code, loader_module"),
    lambda text: text.replace("loader_module", "python_model: model.pkl, loader_module"),
    lambda text: text.replace("tf2-module", "keras"),
    lambda text: text.replace("tf2model", "../../../elsewhere"),
    lambda text: text.replace("code: null", "code: code"),
    lambda text: text + "  keras: {data: data}\n",
    lambda text: "a: &a [x]\nb: *a\n" + text,
    lambda text: "[" * 5000,
    lambda text: "",
]


@pytest.mark.parametrize("changed", CODE)
def test_a_merged_model_of_mlflow_that_names_code_stays_where_it_is(
    tmp_path: Path, changed: Callable[[str], str]
) -> None:
    assert logged_models.is_plain(PLAIN.encode()) and not logged_models.is_plain(changed(PLAIN).encode())
    theirs, here = store_at(tmp_path / "theirs"), find_store(str(tmp_path / "here" / "mlruns"))
    for name, text in (("model", changed(PLAIN)), ("logits", PLAIN)):
        place = logged_models.folder(theirs, RUNS[0]) / name
        (place / "code").mkdir(parents=True)
        (place / logged_models.DESCRIPTION).write_text(text)
        (place / "code" / "payload.py").write_text("x = 1")
    done = merge(theirs.root, here, lambda line: None)
    assert done.left == {f"{RUNS[0]}: models/model": "is not a model of this program"}
    assert sorted(done.new) == RUNS and logged_models.names(here, RUNS[0]) == ["logits"]
    assert not (logged_models.folder(here, RUNS[0]) / "model").exists()


def test_a_kept_model_that_names_code_is_made_anew_before_it_is_registered(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from workbench.commands.register_model import _is_harmless

    store = store_at(tmp_path)
    found: Any = SimpleNamespace(store=store, run=RUNS[0])
    place = logged_models.folder(store, RUNS[0]) / "model"
    place.mkdir(parents=True)
    (place / logged_models.DESCRIPTION).write_text(PLAIN)
    assert _is_harmless(found, "model")
    (place / logged_models.GRAPH).mkdir()
    (place / logged_models.GRAPH / "saved_model.pb").write_bytes(b"no graph")
    assert not _is_harmless(found, "model")
    (place / logged_models.GRAPH / "saved_model.pb").unlink()
    (place / logged_models.DESCRIPTION).write_text(PLAIN.replace("mlflow.tensorflow", "payload"))
    assert not _is_harmless(found, "model")


def test_a_pipe_under_the_name_of_a_record_blocks_nobody(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("log.json", "log.csv", "events.out.tfevents.1", "x.jsonl"):
        os.mkfifo(project / name)
        for words in (["table"], ["plot", "-o", "x.png"], ["import"], ["forecast"]):
            assert main([words[0], name, *words[1:]]) == 2
            assert "not a regular file" in capsys.readouterr().err


def test_rates_of_a_measurement_are_numbers(tmp_path: Path) -> None:
    from analysis.tables.published import ijb_means

    store = store_at(tmp_path)
    path = store.run_artifacts(RUNS[0]) / "ijb" / "x.json"
    path.parent.mkdir(parents=True)
    for text in (
        "[" * 100_000,
        "[]",
        '{"set": 1, "one_to_one": {"a": {"b": 1}}}',
        '{"set": "x", "one_to_one": [1]}',
    ):
        path.write_text(text)
        with pytest.raises(RecordError, match=r"x\.json"):
            ijb_means(store, [RUNS[0]])
    path.write_text(json.dumps({"set": "ijbx", "one_to_one": {"N1": {"1e-4": 0.5, "1e-5": None}}}))
    assert ijb_means(store, [RUNS[0]]) == {"IJBX 1e-4 N1": (0.5, None)}
