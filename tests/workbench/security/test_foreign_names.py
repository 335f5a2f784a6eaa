"""What comes from outside is not a path: names, links, pipes and records that lead out of their folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from stores import start

from workbench.cli import main
from workbench.errors import DataError, RecordError, StoreError
from workbench.security import foreign_files as files
from workbench.security.foreign_names import is_run, new_file, within
from workbench.tracking.journal import encode_line, is_locked, read_journal
from workbench.tracking.merging import merge
from workbench.tracking.store import Store, find_store
from workbench.tracking.tracker import Tracker
from workbench.views.mlflow_values import folder_state

RUN = "20260101T000001Z-00000001"
LEADING_OUT = [
    "../x",
    "/etc/passwd",
    "a/../../x",
    "..",
    "a/..",
    ".",
    "",
    "a\nb",
    "a\0b",
    "\ud800",
    "x" * 300,
    "a/" * 600 + "b",
]


@pytest.mark.parametrize("name", [*LEADING_OUT, None, 3, ["a"]], ids=lambda name: repr(name)[:20])
def test_a_name_that_leads_out_is_no_path(tmp_path: Path, name: object) -> None:
    with pytest.raises(DataError, match="expected a relative path"):
        within(tmp_path, name, where="list.txt", error=DataError)


@pytest.mark.parametrize("name", ["a.png", "Ann Bo/1.jpg", "./a/b", "ä/…", "a..b", "...x", "-a"])
def test_a_plain_name_is_a_path_inside(tmp_path: Path, name: str) -> None:
    assert within(tmp_path, name, where="list.txt") == tmp_path / name


def test_a_link_on_the_way_leads_out_too(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "door").symlink_to(tmp_path)
    with pytest.raises(RecordError, match="through a link"):
        within(tmp_path / "in", "door/x", where="record")


@pytest.mark.parametrize("name", ["..", ".", "...", ".x", "a/b", "a b", "a\n", "", "x" * 300, None, "-x"])
def test_what_is_no_run(name: object) -> None:
    assert not is_run(name)


def test_an_output_is_neither_an_input_nor_there_already(tmp_path: Path) -> None:
    made, other = tmp_path / "a", tmp_path / "b"
    made.write_text("x")
    other.symlink_to(made)
    for force in (False, True):
        with pytest.raises(DataError, match="is an input"):
            new_file(other, (made,), force=force)
    with pytest.raises(DataError, match="exists already.*--force"):
        new_file(made)
    assert new_file(made, force=True) == made
    assert new_file(tmp_path / "c", (made,)) == tmp_path / "c"


def test_reading_inside_follows_no_link_and_waits_for_no_pipe(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    folder = tmp_path / "theirs"
    (folder / "real").mkdir(parents=True)
    (folder / "real" / "file").write_text("theirs")
    (folder / "link").symlink_to(secret)
    (folder / "up").symlink_to(tmp_path)
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    assert [str(name) for name in files.files_below(folder)] == ["real/file"]
    assert files.odd_below(folder) == ["link", "loop", "pipe", "up"]
    assert files.read_inside(folder, "real/file") == b"theirs"
    for name in ("link", "up/secret", "loop/link", "pipe", "real", "../secret", str(secret)):
        with pytest.raises(OSError):
            files.read_inside(folder, name)
    files.copy_tree(folder, tmp_path / "copy")
    assert [str(name) for name in files.files_below(tmp_path / "copy")] == ["real/file"]


def test_a_start_names_runs_and_files_only() -> None:
    for fields in (
        {"run": ".."},
        {"run": "a/b"},
        {"parent": "../x"},
        {"trunk": {"run": "/etc", "epoch": 1}},
        {"files": ("../spec.py",)},
        {"files": ("/etc/passwd",)},
    ):
        with pytest.raises(RecordError):
            start(**{"run": RUN, **fields})


# ---------------------------------------------------------------- merge


def store_at(folder: Path) -> Store:
    root = folder / "mlruns"
    (root / "journal").mkdir(parents=True)
    return Store(root, f"sqlite:///{root / 'mlflow.db'}")


@pytest.fixture
def two(tmp_path: Path) -> tuple[Store, Store]:
    """A store, and a hostile one with one good run."""
    here, there = store_at(tmp_path / "here"), store_at(tmp_path / "there")
    (there.run_artifacts(RUN)).mkdir(parents=True)
    there.journal(RUN).write_bytes(encode_line(start(RUN)))
    (there.run_artifacts(RUN) / "note.txt").write_text("theirs")
    return here, there


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(name): files.read_inside(folder, name) for name in files.files_below(folder)}


def quiet(line: str) -> None:
    """Say nothing."""


def test_merge_takes_no_run_that_is_a_path(two: tuple[Store, Store]) -> None:
    here, there = two
    here.database.write_bytes(b"our database")
    here.run_checkpoints("mine").mkdir(parents=True)
    (here.run_checkpoints("mine") / "best.safetensors").write_bytes(b"ours")
    (there.journals / "...jsonl").write_bytes(there.journal(RUN).read_bytes())
    (there.journals / "...d").mkdir()
    (there.root / "mlflow.db").write_bytes(b"theirs")
    (there.root / "mine").mkdir()
    (there.root / "mine" / "best.safetensors").write_bytes(b"theirs")
    done = merge(there.root, here, quiet)
    assert here.database.read_bytes() == b"our database"
    assert (here.run_checkpoints("mine") / "best.safetensors").read_bytes() == b"ours"
    assert done.new == [RUN] and list(done.left) == ["...jsonl"]


def test_merge_brings_no_file_of_this_machine(two: tuple[Store, Store], tmp_path: Path) -> None:
    here, there = two
    secret = tmp_path / "secret.txt"
    secret.write_text("of this machine")
    (there.run_artifacts(RUN) / "file.txt").symlink_to(secret)
    (there.run_artifacts(RUN) / "folder").symlink_to(tmp_path)
    there.checkpoints.mkdir()
    there.run_checkpoints(RUN).symlink_to(tmp_path)
    (there.root / "sweeps").symlink_to(tmp_path)
    (there.journals / "20260101T000002Z-00000002.jsonl").symlink_to(secret)
    merge(there.root, here, quiet)
    assert not any(b"of this machine" in content for content in snapshot(here.root).values())
    assert (here.run_artifacts(RUN) / "note.txt").read_text() == "theirs"


def test_merge_waits_for_no_pipe(two: tuple[Store, Store]) -> None:
    here, there = two
    os.mkfifo(there.run_artifacts(RUN) / "pipe")
    os.mkfifo(there.journals / "20260101T000002Z-00000002.jsonl")
    os.mkfifo(there.database)
    done = merge(there.root, here, quiet)
    assert done.new == [RUN] and "no file" in done.left["20260101T000002Z-00000002"]


def test_a_pipe_among_our_own_journals_blocks_nobody(two: tuple[Store, Store]) -> None:
    here, _ = two
    os.mkfifo(here.journal(RUN))
    assert not is_locked(here.journal(RUN))
    with pytest.raises(RecordError, match="not a regular file"):
        read_journal(here.journal(RUN))


def test_damaged_lines_with_secrets_are_not_taken_over(two: tuple[Store, Store]) -> None:
    here, there = two
    with there.journal(RUN).open("ab") as file:
        file.write(b'00000000 {"password": "hunter2-hunter2"}\n00000000 {"torn": 1}\n')
    merge(there.root, here, quiet)
    kept = here.journal(RUN).read_bytes()
    assert b"hunter2" not in kept and b'{"torn": 1}' in kept


# ---------------------------------------------------------------- data align

POINTS = "30,30,70,30,50,50,35,70,65,70"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    from PIL import Image

    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "a.png", "b.png"):
        Image.new("RGB", (100, 100), "gray").save(folder / name)
    return folder


def test_align_writes_nowhere_but_into_its_target(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path / "original.png"
    shutil.copy(photos / "b.png", outside)
    before = snapshot(tmp_path)
    landmarks = tmp_path / "points.csv"
    for name in (str(photos / "b.png"), "../photos/b.png", "../original.png", str(outside)):
        landmarks.write_text(f"{name},{POINTS}\n")
        assert main(["data", "align", str(photos), str(landmarks), str(tmp_path / "faces")]) == 2
        assert "leads out" in capsys.readouterr().err
        landmarks.unlink()
        assert snapshot(tmp_path) == before


def test_align_lets_no_two_photographs_become_one(photos: Path, tmp_path: Path) -> None:
    landmarks = tmp_path / "points.csv"
    landmarks.write_text(f"a.jpg,{POINTS}\na.png,{POINTS}\n")
    assert main(["data", "align", str(photos), str(landmarks), str(tmp_path / "faces")]) == 2
    assert not (tmp_path / "faces").exists()


def test_align_replaces_no_sheet_unasked(photos: Path, tmp_path: Path) -> None:
    landmarks = tmp_path / "points.csv"
    landmarks.write_text(f"b.png,{POINTS}\n")
    before = (photos / "b.png").read_bytes()
    words = ["data", "align", str(photos), str(landmarks), str(tmp_path / "faces")]
    for sheet in (photos / "b.png", landmarks, tmp_path / "faces" / "b.png"):
        assert main([*words, "--sheet", str(sheet), "--force"]) == 2
    (tmp_path / "faces.png").write_text("mine")
    assert main(words) == 2
    assert (tmp_path / "faces.png").read_text() == "mine"
    assert main([*words, "--force"]) == 0
    assert (photos / "b.png").read_bytes() == before


# ---------------------------------------------------------------- a store with links


def test_a_store_with_a_link_out_of_it_is_refused(two: tuple[Store, Store], tmp_path: Path) -> None:
    here, _ = two
    (here.root / "tensorboard").symlink_to(tmp_path)
    with pytest.raises(StoreError, match="link out of the store"):
        find_store(str(here.root))


@pytest.mark.parametrize("place", ["journal", "run_folder", "run_artifacts", "run_checkpoints"])
def test_a_run_behind_a_link_is_not_written(two: tuple[Store, Store], tmp_path: Path, place: str) -> None:
    here, _ = two
    outside = tmp_path / "outside"
    outside.write_text("mine") if place == "journal" else outside.mkdir()
    path = getattr(here, place)(RUN)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(outside)
    with pytest.raises(StoreError, match="is a link"):
        Tracker.open(here, start(RUN), texts={"spec.py": "x = 1"}, say=quiet, views=[])
    assert outside.read_text() == "mine" if place == "journal" else not list(outside.iterdir())


def test_artifacts_that_are_links_reach_no_view(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("mine")
    folder = tmp_path / "artifacts"
    folder.mkdir()
    (folder / "note").write_text("theirs")
    with files.without_links(folder) as same:
        assert same == folder
    (folder / "link").symlink_to(tmp_path / "secret")
    with files.without_links(folder) as clean:
        assert [path.name for path in clean.iterdir()] == ["note"]
    assert folder_state(folder).startswith("1 files")


# ---------------------------------------------------------------- outputs


@pytest.mark.parametrize(
    "words",
    [
        ["table", "log.json", "-o", "log.json"],
        ["table", "log.json", "--output=log.json"],
        ["plot", "-o", "./log.json", "link.json"],
        ["verify", "faces.bin", "--save-embeddings", "faces.bin"],
        ["table", "-o", "mlruns/journal/20260101T000001Z-00000001.jsonl"],
        ["table", "-o", "mlruns/mlflow.db"],
        ["clean", "@last", "-o", "mlruns/checkpoints/x/list.txt"],
    ],
    ids=" ".join,
)
def test_no_command_writes_over_its_input_or_the_records(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    (project / "mlruns" / "journal").mkdir(parents=True, exist_ok=True)
    for name in ("log.json", "faces.bin", "mlruns/mlflow.db", f"mlruns/journal/{RUN}.jsonl"):
        (project / name).write_text("mine")
    (project / "link.json").symlink_to("log.json")
    before = snapshot(project)
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and ("is an input" in told or "part of the records" in told)
    assert snapshot(project) == before


def test_every_option_that_names_an_output_is_looked_at() -> None:
    import click

    from workbench.cli import COMMANDS, program
    from workbench.security.outputs import OPTIONS

    context, todo, found = click.Context(program), [], set()
    todo += [program.get_command(context, name) for name in COMMANDS]
    while todo:
        command = todo.pop()
        todo += command.commands.values() if isinstance(command, click.Group) else []
        options = [one for one in command.params if isinstance(one, click.Option)]
        found |= {
            name
            for one in options
            for name in one.opts
            if any(word in name for word in ("out", "save", "sheet", "write"))
        }
    assert found - {"--outputs", "--without-regulariser", *OPTIONS} == set()


# ---------------------------------------------------------------- lists of files to read


@pytest.mark.parametrize("form", ["a.png {} 1\n", "first,second,same\na.png,{},1\n"])
def test_a_list_of_pairs_names_files_of_its_folder_only(tmp_path: Path, form: str) -> None:
    from PIL import Image

    from workbench.data.pair_formats import read

    folder, listed = tmp_path / "faces", tmp_path / "pairs.csv" if "," in form else tmp_path / "pairs.txt"
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "secret").write_text("of this machine")
    for name in ("faces/a.png", "faces/b.png", "elsewhere/c.png"):
        Image.new("RGB", (8, 8), "gray" if "a.png" in name else "red").save(tmp_path / name)
    (folder / "linked.png").symlink_to(tmp_path / "elsewhere" / "c.png")
    for name in ("b.png", "./b.png", str(folder / "b.png"), "linked.png"):
        listed.write_text(form.format(name))
        assert len(read(listed, folder).encoded) == 2
    for name in ("../secret", str(tmp_path / "secret"), "/etc/passwd", "x/../../secret", "x" * 5000):
        listed.write_text(form.format(name))
        with pytest.raises(DataError, match="leads out|is longer"):
            read(listed, folder)


def test_lists_of_protocols_name_files_of_their_folder_only(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from workbench.data import lfw_pairs
    from workbench.verification.ijb_files import Protocol

    for name in ("x" * 5000, "..", "a\x1bb", "a\\b"):
        (tmp_path / "pairs.txt").write_text(f"1\t1\n{name}\t1\t2\n{name}\t1\tb\t1\n")
        with pytest.raises(DataError, match="name n1 n2"):
            lfw_pairs.read(tmp_path / "pairs.txt", tmp_path)
    there = SimpleNamespace(folder=tmp_path, name="IJBX")
    assert Protocol.path(there, "1.jpg") == tmp_path / "loose_crop" / "1.jpg"
    for name in ("../../secret", "/etc/passwd"):
        with pytest.raises(DataError, match="leads out"):
            Protocol.path(there, name)
