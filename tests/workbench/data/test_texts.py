"""Pairs lists, landmarks and alignment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from material import mutations, places, survives, write_faces
from PIL import Image

from workbench import ImageFolder, Pairs
from workbench.data import face_alignment, lfw_pairs
from workbench.errors import DataError


@pytest.fixture
def lfw(tmp_path: Path) -> Path:
    """A folder with LFW's file names and a list of two sets of one pair of each kind."""
    folder = write_faces(tmp_path / "faces", people=3, images=3)
    for person, name in enumerate(("Ann_Lee", "Bo", "Çelik_Öz")):
        (folder / f"person {person}").rename(folder / name)
        for number in range(3):
            (folder / name / f"{number:02d}.png").rename(folder / name / f"{name}_{number + 1:04d}.png")
    lines = ["2\t1", "Ann_Lee\t1\t2", "Ann_Lee\t1\tBo\t3", "Çelik_Öz\t3\t1", "Bo\t1\tÇelik_Öz\t3"]
    (tmp_path / "pairs.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_view2(lfw: Path) -> None:
    found = Pairs("pairs.txt", folder="faces").open(places(lfw), ImageFolder("faces"))
    assert found.same.tolist() == [True, False, True, False]
    names = [(found.names[a], found.names[b]) for a, b in zip(found.first, found.second)]
    assert names == [
        ("Ann_Lee/Ann_Lee_0001", "Ann_Lee/Ann_Lee_0002"),
        ("Ann_Lee/Ann_Lee_0001", "Bo/Bo_0003"),
        ("Çelik_Öz/Çelik_Öz_0003", "Çelik_Öz/Çelik_Öz_0001"),
        ("Bo/Bo_0001", "Çelik_Öz/Çelik_Öz_0003"),
    ]
    assert found.encoded[found.first[1]] == (lfw / "faces" / "Ann_Lee" / "Ann_Lee_0001.png").read_bytes()
    assert len(found.encoded) == 6


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Ann_Lee\t1\t9", "pairs.txt:2: names Ann_Lee/Ann_Lee_0009, which is not in"),
        ("Ann_Lee\t1", "pairs.txt:2"),
        ("Ann_Lee\t1\tx", "pairs.txt:2"),
        ("../faces/Bo\t1\t2", "pairs.txt:2"),
        ("", "3 pairs, the first line states 2 sets of 1 and 1"),
    ],
)
def test_view2_lines_at_fault(lfw: Path, line: str, words: str) -> None:
    lines = (lfw / "pairs.txt").read_text(encoding="utf-8").splitlines()
    (lfw / "pairs.txt").write_text("\n".join([lines[0], line, *lines[2:]]), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        lfw_pairs.read(lfw / "pairs.txt", lfw / "faces")
    assert words in str(caught.value)


def test_damaged_lists(lfw: Path) -> None:
    path = lfw / "pairs.txt"
    damaged = mutations(path.read_bytes(), 1000)
    assert survives(lambda file: lfw_pairs.read(file, lfw / "faces"), path, damaged)["refused"] > 300


def test_damaged_bin_files(tmp_path: Path) -> None:
    import pickle

    from workbench.data import pair_files

    path = tmp_path / "x.bin"
    images = [b"picture %d" % k for k in range(8)]
    damaged = mutations(pickle.dumps((images, [True, False] * 2), protocol=2), 1000)
    assert survives(pair_files.read_bin, path, damaged, 2000)["refused"] > 300


def test_similarity_gives_back_a_known_transform() -> None:
    angle, scale, shift = 0.4, 1.7, np.array([5.0, -3.0])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = face_alignment.TEMPLATE
    matrix = face_alignment.similarity(points, points @ turn.T + shift)
    np.testing.assert_allclose(matrix, np.column_stack([turn, shift]), atol=1e-9)
    mirrored = points * [-1, 1]
    assert np.linalg.det(face_alignment.similarity(points, mirrored)[:, :2]) > 0  # never a reflection


def test_similarity_is_the_least_squares_one() -> None:
    from scipy.optimize import least_squares

    chance = np.random.default_rng(0)
    source = chance.uniform(0, 100, (5, 2))

    def residual(p: np.ndarray) -> np.ndarray:
        a, b, x, y = p
        moved = source @ np.array([[a, -b], [b, a]]).T + [x, y]
        return (moved - face_alignment.TEMPLATE).ravel()

    a, b, x, y = least_squares(residual, [1, 0, 0, 0], xtol=1e-14, ftol=1e-14, gtol=1e-14).x
    wanted = [[a, -b, x], [b, a, y]]
    np.testing.assert_allclose(face_alignment.similarity(source, face_alignment.TEMPLATE), wanted, atol=1e-5)


@pytest.mark.parametrize(("degrees", "scale"), [(0, 1), (30, 2), (-50, 3.5), (10, 0.5)])
def test_dots_on_the_landmarks_arrive_at_the_template(tmp_path: Path, degrees: float, scale: float) -> None:
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (face_alignment.TEMPLATE - 56) @ turn.T + [330, 350]
    y, x = np.mgrid[:700, :660]
    for number in range(5):
        px, py = points[number]
        dot = np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * (3 * scale) ** 2))
        photo = Image.fromarray((255 * dot).astype(np.uint8))
        result = np.asarray(face_alignment.aligned(photo, points), float)[..., 0]
        weights = result / result.sum()
        centre = (weights * np.arange(112)).sum(), (weights * np.arange(112)[:, None]).sum()
        np.testing.assert_allclose(centre, face_alignment.TEMPLATE[number], atol=0.15)


def test_landmarks_file(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    numbers = ",".join(str(v) for v in range(10))
    path.write_text(f"file,{numbers.replace('1', 'x')}\na b/c.jpg,{numbers}\n", encoding="utf-8")
    found = face_alignment.read_landmarks(path)
    np.testing.assert_array_equal(found["a b/c.jpg"], np.arange(10.0).reshape(5, 2))
    path.write_text("202599\nlefteye_x lefteye_y\n1.jpg " + " ".join(str(v) for v in range(10)))
    assert list(face_alignment.read_landmarks(path)) == ["1.jpg"]
    for text, words in (
        (f"a.jpg,{numbers}\nb.jpg,1,2,nan\n", "points.csv:2"),
        (f"a.jpg,{numbers}\na.jpg,{numbers}\n", "a second time"),
        ("nothing\n", "holds no landmarks"),
        ("", "holds no landmarks"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=words):
            face_alignment.read_landmarks(path)


def test_align_folder_refuses(tmp_path: Path) -> None:
    folder = write_faces(tmp_path / "raw", people=1, images=1)
    name, right = "person 0/00.png", face_alignment.TEMPLATE / 5
    for points, words in (
        ({"missing.png": right}, "not in"),
        ({"../secret.png": right}, "leads out of its folder"),
        ({name: right + 1000}, "far outside"),
        ({name: np.full((5, 2), 7.0)}, "fall together"),
    ):
        with pytest.raises(DataError, match=words):
            face_alignment.align_folder(folder, points, tmp_path / "out", 112)
    (folder / name).write_bytes((folder / name).read_bytes()[:200])
    with pytest.raises(DataError, match="cannot be decoded"):
        face_alignment.align_folder(folder, {name: right}, tmp_path / "out", 112)
