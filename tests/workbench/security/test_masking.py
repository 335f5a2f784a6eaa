"""Secrets of many kinds are masked wherever they may be recorded, and what only looks random stays."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from planted_secrets import INNOCENT, PLANTED

from workbench.jobs.placement import Place
from workbench.jobs.process import Child
from workbench.security.masking import MARK, mask, masked, secrets_in, secrets_in_diff
from workbench.tracking import code, null_tracker, provenance
from workbench.tracking.journal import read_journal
from workbench.tracking.rows import EndRecord, EpochRecord, StartRecord
from workbench.tracking.store import Store, find_store
from workbench.tracking.tracker import Tracker
from workbench.views import default_views
from workbench.views.sync import sync


@pytest.mark.parametrize("kind", PLANTED)
def test_each_kind_of_secret_is_masked_and_the_rest_of_the_line_stays(kind: str) -> None:
    line, secret = PLANTED[kind]
    text = f"first line\n{line}\nepoch 3 of 40\n"
    clean = mask(text)
    assert secret not in clean
    assert secret[:12] not in clean
    assert MARK in clean
    assert clean.startswith("first line\n")
    assert clean.endswith("\nepoch 3 of 40\n")
    assert secrets_in(text)
    assert mask(clean) == clean  # masking twice is masking once
    assert not secrets_in(clean)


@pytest.mark.parametrize("line", INNOCENT)
@pytest.mark.parametrize("source", [False, True], ids=["text", "code"])
def test_what_only_looks_random_stays(line: str, source: bool) -> None:
    if not source and line.startswith("password = os.environ"):
        line = line.partition("[")[0]
    assert mask(line, code=source) == line


def test_real_specs_logs_and_histories_stay_as_they_are(root: Path, real_data: Path) -> None:
    for path in (root / "experiments").glob("*.py"):
        assert mask(path.read_text(), code=True) == path.read_text()
    kept = [p for p in real_data.rglob("*") if p.suffix in (".log", ".json", ".txt", ".md", ".csv")]
    assert kept
    for path in kept:
        text = path.read_text(errors="replace")
        assert mask(text) == text, path


def test_the_whole_source_of_the_project_holds_no_secret(root: Path) -> None:
    for folder in ("workbench", "analysis", "experiments"):
        for path in (root / folder).rglob("*.py"):
            if path.name != "masking.py":  # its comments name secrets
                assert secrets_in(path.read_text(), code=True) == [], path


def test_settings_and_command_lines_are_masked_by_their_names() -> None:
    found = masked(
        {
            "data": {"part": "ImageFolder", "path": "s3://me:hunter2@bucket/faces", "api_key": "abc"},
            "command": ["workbench", "run", "x.py", "--api-token", "short", "--password=1234", "--seed", "3"],
            "door": {"password": 1234, "token": None, "secret": "", "epochs": 3},
        }
    )
    assert found["data"] == {"part": "ImageFolder", "path": f"s3://{MARK}@bucket/faces", "api_key": MARK}
    assert found["command"][3:] == ["--api-token", MARK, f"--password={MARK}", "--seed", "3"]
    assert found["door"] == {"password": MARK, "token": None, "secret": "", "epochs": 3}


def test_values_of_secret_variables_are_masked_wherever_they_turn_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "tangerine-42")
    monkeypatch.setenv("SOME_TOKEN", "face")  # too plain to be looked for
    assert mask("cannot log in with tangerine-42 at face value") == f"cannot log in with {MARK} at face value"
    assert provenance.environment()["MLFLOW_TRACKING_PASSWORD"] == MARK


def test_masking_is_loaded_late_and_starts_quickly() -> None:
    probe = (
        "import sys, workbench, workbench.cli; assert 'detect_secrets' not in sys.modules;"
        "from workbench.security.masking import mask; mask('epoch 3'); assert 'detect_secrets' not in sys.modules;"
        "mask('x' * 40 + '1'); assert 'detect_secrets' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", probe], check=True)


def test_a_long_log_is_masked_in_time() -> None:
    lines = "INFO:root:Epoch[3] Batch [12000-12020]\tSpeed: 1093.16 samples/sec acc=0.998437\n" * 40_000
    mask("0" * 20)
    start = time.process_time()
    assert mask(lines) == lines
    assert time.process_time() - start < 3.0  # 3 MB; a second where nothing else works


# ---------------------------------------------------------------- the records


def test_planted_secrets_are_found_nowhere_in_a_store(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dozen kinds and more, in every place that a user's text can come from, through both views."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "own-Secret-77")
    lines = [line for line, _ in PLANTED.values()]
    store = find_store()
    start = StartRecord(
        run="20260101T000000Z-00000001",
        study="s",
        name=PLANTED["address"][0],
        id="0123456789ab",
        spec={"part": "Experiment", "settings": lines, "client_secret": "plain words"},
        parameters={**{f"setting.{n}": line for n, line in enumerate(lines)}, "data.password": "plain words"},
        tags={f"tag.{n}": line for n, line in enumerate(lines)} | {"workbench.forecast": "own-Secret-77"},
        provenance={"command": ["run", *lines], "question": lines[0], "data": dict.fromkeys(lines, "9f86d0")},
        domains={"setting.1": {"values": lines[:3]}},
    )
    texts = {"spec.py": "\n".join(f"# {line}" for line in lines), "spec.json": json.dumps(lines)}
    with Tracker.open(
        store, start, texts=texts, say=lambda line: None, views=default_views(store)
    ) as tracker:
        tracker.epoch(
            EpochRecord(stage=1, stage_epoch=1, epoch=1, step=1, metrics={"loss": 1.0}, seconds=1.0)
        )
        tracker.publish(1)
        tracker.artifact("log.txt", text="\n".join(lines))
        binary = b"\x00\xff\x80" + "\n".join(lines).encode() + b"\xfe"
        tracker.artifact("original/events.out.tfevents.1", text=binary)
        (project / "outside.log").write_text("\n".join(lines))
        tracker.artifact("outside.log", path=project / "outside.log")
        tracker.end("failed", "own-Secret-77 refused: " + " ".join(lines))
    (project / "outside.log").unlink()
    sync(store, lambda line: None)
    hidden = [secret for _, secret in PLANTED.values()] + ["own-Secret-77", "plain words"]
    assert leaks(project, hidden) == []
    assert not (store.run_artifacts(start.run) / "original" / "events.out.tfevents.1").exists()
    row = read_journal(store.journal(start.run)).start
    assert row is not None
    assert row.provenance["masked"] is True
    assert (row.id, row.study) == ("0123456789ab", "s")
    assert MARK in row.name


def test_what_a_process_prints_into_its_run_is_masked(tmp_path: Path) -> None:
    lines, hidden = zip(*PLANTED.values())
    (tmp_path / "lines.json").write_text(json.dumps(lines))
    program = (
        "import json, sys; from workbench.security.masked_output import mask_output; mask_output();"
        "lines = json.load(open(sys.argv[1])); [print(line) for line in lines];"
        "print('half a line', end=''); sys.stdout.flush(); sys.stderr.writelines(line + chr(10) for line in lines);"
        "raise ValueError(lines[0])"
    )
    log = tmp_path / "run" / "output.log"
    child = Child([sys.executable, "-c", program, str(tmp_path / "lines.json")], Place(), log)
    while child.poll() is None:
        time.sleep(0.02)
    text = log.read_text()
    assert [secret for secret in hidden if secret in text] == []
    assert "half a line" in text
    assert text.count(MARK) >= 2 * len(lines)
    assert "ValueError" in text


def test_a_worker_keeps_no_secret_in_its_log(tmp_path: Path) -> None:
    line, secret = PLANTED["GitHub token"]
    stream = null_tracker.TeeStream(io.StringIO(), tmp_path / "workers" / "1.log")
    stream.write(f"note: {line}\n")
    text = (tmp_path / "workers" / "1.log").read_text()
    assert secret not in text
    assert f"note: cloned with {MARK}" in text


def leaks(folder: Path, secrets: list[str]) -> list[str]:
    """Return every (file, secret) below `folder` whose bytes or name hold one of the secrets."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any("tfevents" in path.name for path in files)
    assert any(path.name == "mlflow.db" for path in files)
    found = []
    for path in files:
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # SQLite's own journal, or a file that has taken its name by now
            continue
        forms = {secret: (secret.encode(), json.dumps(secret)[1:-1].encode()) for secret in secrets}
        found += [
            f"{path}: {s}" for s in secrets if s in str(path) or any(form in content for form in forms[s])
        ]
    return found


def test_the_end_reason_of_a_run_without_secrets_is_word_for_word(tmp_path: Path) -> None:
    store = Store(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}")
    start = StartRecord(run="20260101T000000Z-00000002", spec={"a": 1}, provenance={"commit": "e4ca5a4b" * 5})
    with Tracker.open(store, start, views=[]) as tracker:
        tracker.end("failed", "the loss is nan at step 3 of stage 1, epoch 2")
    journal = read_journal(store.journal(start.run))
    assert isinstance(journal.end, EndRecord)
    assert journal.end.reason == "the loss is nan at step 3 of stage 1, epoch 2"
    assert journal.start is not None
    assert journal.start.provenance["commit"] == "e4ca5a4b" * 5


# ---------------------------------------------------------------- diffs


@pytest.fixture
def repository(project: Path) -> Path:
    (project / "model.py").write_text("width = 1\n")
    (project / ".env").write_text("DEBUG=1\n")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        author = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
        subprocess.run(["git", *author, *words], cwd=project, check=True)
    return project


def test_a_diff_with_a_secret_is_not_stored_and_the_run_says_so(repository: Path) -> None:
    (repository / "model.py").write_text("width = 2\ntoken = load(token_file)\n")
    clean = provenance.collect(project=repository)
    assert "+width = 2" in clean.texts["uncommitted.diff"]
    assert clean.notes == ()
    (repository / ".env").write_text("DEBUG=1\nDB_PASSWORD=hunter2\n")
    found = provenance.collect(project=repository)
    assert "uncommitted.diff" not in found.texts
    assert found.facts["diff_withheld"] == "it holds a secret: .env (db_password)"
    assert "`workbench rerun` will need them" in found.notes[0]
    assert found.facts["diff"] != clean.facts["diff"]
    assert "hunter2" not in repr(found)


def test_an_untracked_module_in_use_is_kept_unless_it_holds_a_secret(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(repository))
    for name, text in (("mine_clean", "x = 1\n"), ("mine_secret", 'api_key = "zq81k2m377aa"\n')):
        (repository / f"{name}.py").write_text(text)
        __import__(name)
    state = code.state(repository)
    assert state is not None
    assert set(state.texts()) == {"untracked/mine_clean.py"}
    for name in ("mine_clean", "mine_secret"):
        del sys.modules[name]


def test_a_diff_is_judged_file_by_file() -> None:
    diff = (
        "diff --git a/a.py b/a.py\n+token = make_token\ndiff --git a/b.yaml b/b.yaml\n+token: zq81k2m377aa\n"
    )
    assert secrets_in_diff(diff) == ["b.yaml (token)"]
