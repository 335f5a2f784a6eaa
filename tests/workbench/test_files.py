"""Files are replaced whole or not at all; those that killed processes left aside are cleared away, and no others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workbench.files import (
    clear_temporary_files,
    replacing,
    replacing_folder,
    replacing_private,
    size_of,
)


def test_the_size_of_a_folder_is_that_of_its_files_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(bytes(1000))
    (tmp_path / "a" / "b" / "two").write_bytes(bytes(24))
    assert size_of(tmp_path / "a") == 1024
    assert size_of(tmp_path / "a" / "one") == 1000
    (tmp_path / "big").write_bytes(bytes(10**6))
    for name, target in (
        ("link", tmp_path / "big"),
        ("circle", tmp_path / "a" / "circle"),
        ("gone", tmp_path / "x"),
    ):
        (tmp_path / "a" / name).symlink_to(target)
    assert size_of(tmp_path / "a") < 2000


def test_what_killed_processes_left_is_cleared_away(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "scores"
    child = os.fork()
    if child == 0:
        with replacing(folder / "lfw.npz") as aside:
            aside.write_bytes(b"half")
            os._exit(0)  # as if killed: nothing is cleared away
    assert os.waitpid(child, 0)[1] == 0
    assert len(list(folder.iterdir())) == 1
    kept = [folder / name for name in ("lfw.npz", ".hidden", ".a.12.34", "x.1.123456789012")]
    for path in kept:
        path.write_text("kept")
    (tmp_path / "elsewhere").mkdir()
    gone = 2**22 + 1  # above every process number
    (tmp_path / "elsewhere" / f".a.{gone}.123456789012").write_text("of others")
    (tmp_path / "run" / "link").symlink_to(tmp_path / "elsewhere")
    with replacing(folder / "mine") as aside:
        aside.write_text("at work")
        clear_temporary_files(tmp_path / "run")
        assert sorted(folder.iterdir()) == sorted([*kept, aside])
    assert list((tmp_path / "elsewhere").iterdir())


def test_a_secret_is_for_its_owner_alone_from_the_first_byte_and_stays_where_the_new_one_fails(
    tmp_path: Path,
) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    with pytest.raises(RuntimeError), replacing_private(path) as file:
        file.write("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with replacing_private(path) as file:
        assert os.fstat(file.fileno()).st_mode & 0o777 == 0o600
        file.write("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and path.stat().st_mode & 0o777 == 0o600


def test_a_folder_is_replaced_when_the_new_one_is_whole_and_others_at_work_keep_theirs(
    tmp_path: Path,
) -> None:
    path = tmp_path / "models" / "best"
    with replacing_folder(path) as new:
        new.mkdir()
        (new / "weights").write_text("old")
    with pytest.raises(OSError, match="full"), replacing_folder(path) as new:
        new.mkdir()
        raise OSError("full")
    with replacing_folder(tmp_path / "models" / "last") as other:
        other.mkdir()
        with replacing_folder(path) as new:
            new.mkdir()
            assert (path / "weights").read_text() == "old"
        clear_temporary_files(tmp_path)
        assert other.is_dir() and not list(path.iterdir())
        killed = path.with_name(f".best.{2**22 + 1}.123456789012")
        killed.mkdir()
        clear_temporary_files(tmp_path)
        assert not killed.exists()
    assert sorted(path.parent.iterdir()) == [path, path.with_name("last")]
