"""The text formats of IJB-B and IJB-C as they are published, read and written.

In a folder: `meta/` with `<name>_face_tid_mid.txt` (image, template, medium),
`<name>_name_5pts_score.txt` (image, five landmarks, detector score),
`<name>_template_pair_label.txt` (two templates, 1 or 0) and, for 1:N, `<name>_1N_gallery_G1.csv`,
`_G2.csv` (of IJB-B `_S1.csv`, `_S2.csv`) and `<name>_1N_probe_mixed.csv` (template, subject, file ...); the
images in `loose_crop/`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.errors import DataError
from workbench.security.foreign_names import listed
from workbench.verification.templates import Members

PAIRS_AT_ONCE = 2_000_000  # lines of the pair list read at a time


@dataclass(frozen=True)
class Subjects:
    """Templates of a 1:N list with their subjects, one row a template, both [t]; its name, such as `G1`."""

    templates: np.ndarray
    subjects: np.ndarray
    name: str = ""


@dataclass(frozen=True)
class Protocol:
    """One data set: images with landmarks [N, 5, 2] and detector scores [N], their templates, the lists."""

    name: str
    folder: Path
    images: list[str]
    landmarks: np.ndarray
    scores: np.ndarray
    members: Members
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray]  # two template ids and a label, each [P]
    galleries: tuple[Subjects, ...]
    probes: Subjects | None

    def path(self, image: str) -> Path:
        return listed(self.folder / "loose_crop", image, where=f"{self.name}_name_5pts_score.txt")


def read(folder: Path) -> Protocol:
    """Return the protocol in `folder`; raises `DataError` naming the file and line that is wrong.

    The 1:N lists may be absent; then there is no 1:N.
    """
    found = sorted((folder / "meta").glob("*_face_tid_mid.txt"))
    if len(found) != 1:
        what = "no list of templates" if not found else f"{len(found)} lists of templates"
        raise DataError(
            what, where=folder / "meta", expected="one <name>_face_tid_mid.txt beside loose_crop/"
        )
    name = found[0].name.removesuffix("_face_tid_mid.txt")
    points = _table(folder / "meta" / f"{name}_name_5pts_score.txt", 12)
    images = [str(image) for image in points[0]]
    if len(set(images)) < len(images):
        twice = points[0][points[0].duplicated()].iloc[0]
        raise DataError(
            f"image {twice!r} is listed twice", where=found[0].parent / f"{name}_name_5pts_score.txt"
        )
    members = _members(found[0], images)
    numbers = points.iloc[:, 1:].to_numpy(np.float64)
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers).all(axis=1))[0])
        raise DataError("landmarks or score are not numbers", where=f"{name}_name_5pts_score.txt:{row + 1}")
    return Protocol(
        name,
        folder,
        images,
        numbers[:, :10].reshape(-1, 5, 2),
        numbers[:, 10],
        members,
        _pairs(folder / "meta" / f"{name}_template_pair_label.txt"),
        tuple(_subjects(path) for path in sorted((folder / "meta").glob(f"{name}_1N_gallery_[GS]*.csv"))),
        next((_subjects(path) for path in (folder / "meta").glob(f"{name}_1N_probe_mixed.csv")), None),
    )


@contextlib.contextmanager
def _readable(path: Path, expected: str) -> Iterator[None]:
    """Say of whatever pandas cannot read what was expected of the file."""
    try:
        yield
    except (ValueError, KeyError, pd.errors.ParserError) as error:
        # An empty file and wrong bytes are ValueErrors.
        raise DataError(f"cannot be read: {error}", where=path, expected=expected) from error


def _table(path: Path, columns: int) -> pd.DataFrame:
    if not path.is_file():
        raise DataError("is not there", where=path, expected="a list of the protocol")
    with _readable(path, f"{columns} columns parted by spaces"):
        table = pd.read_csv(path, sep=" ", header=None, dtype={0: str})
    if table.shape[1] != columns or table.isna().to_numpy().any():
        raise DataError(
            f"has {table.shape[1]} columns or empty fields", where=path, expected=f"{columns} columns"
        )
    return table


def _members(path: Path, images: list[str]) -> Members:
    table = _table(path, 3)
    place = pd.Index(images).get_indexer(table[0])
    if (place < 0).any():
        row = int(np.flatnonzero(place < 0)[0])
        raise DataError(f"names image {table[0][row]!r}, which has no landmarks", where=f"{path}:{row + 1}")
    try:
        return Members(place, table[1].to_numpy(np.int64), table[2].to_numpy(np.int64))
    except ValueError as error:
        raise DataError("template and medium are not whole numbers", where=path) from error


def _pairs(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return template pairs and labels, read in parts: 15.6 million lines take 140 MB, not gigabytes."""
    if not path.is_file():
        raise DataError("is not there", where=path, expected="the list of template pairs")
    kinds = {0: np.int32, 1: np.int32, 2: np.int8}
    with (
        _readable(path, "template template label, in numbers"),
        pd.read_csv(path, sep=" ", header=None, dtype=kinds, chunksize=PAIRS_AT_ONCE) as parts,
    ):
        columns = [[part[k].to_numpy() for k in range(3)] for part in parts]
    first, second, label = (np.concatenate(side) for side in zip(*columns, strict=True))
    if not np.isin(label, (0, 1)).all():
        raise DataError("labels other than 0 and 1", where=path, expected="1 for one person, 0 for two")
    return first, second, label.astype(bool)


def _subjects(path: Path) -> Subjects:
    with _readable(path, "a header and template,subject,..."):
        table = pd.read_csv(path, usecols=[0, 1], header=0, names=["template", "subject"], dtype=np.int64)
    table = table.drop_duplicates()
    if table["template"].duplicated().any():
        template = table["template"][table["template"].duplicated()].iloc[0]
        raise DataError(
            f"template {template} has two subjects", where=path, expected="one subject for each template"
        )
    columns = table["template"].to_numpy(), table["subject"].to_numpy()
    return Subjects(*columns, path.stem.rpartition("_")[2])


def write(
    folder: Path,
    name: str,
    images: list[str],
    landmarks: np.ndarray,
    scores: np.ndarray,
    members: Members,
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray],
    galleries: tuple[Subjects, ...] = (),
    probes: Subjects | None = None,
) -> None:
    """Write the lists of a protocol in the published formats; the images are the caller's."""
    meta = folder / "meta"
    meta.mkdir(parents=True, exist_ok=True)
    lines = [f"{images[i]} {t} {m}" for i, t, m in zip(*members, strict=True)]
    (meta / f"{name}_face_tid_mid.txt").write_text("\n".join(lines) + "\n")
    flat = landmarks.reshape(-1, 10)
    lines = [
        f"{image} {' '.join(f'{v:.3f}' for v in row)} {score:.6f}"
        for image, row, score in zip(images, flat, scores, strict=True)
    ]
    (meta / f"{name}_name_5pts_score.txt").write_text("\n".join(lines) + "\n")
    np.savetxt(
        meta / f"{name}_template_pair_label.txt", np.stack([p.astype(np.int64) for p in pairs], 1), "%d"
    )
    lists = {f"1N_gallery_{g.name or f'G{k}'}": g for k, g in enumerate(galleries, start=1)}
    for suffix, subjects in {**lists, **({"1N_probe_mixed": probes} if probes else {})}.items():
        rows = pd.DataFrame({"TEMPLATE_ID": subjects.templates, "SUBJECT_ID": subjects.subjects})
        rows.to_csv(meta / f"{name}_{suffix}.csv", index=False)
