"""The IJB protocols against an independent reading in plain NumPy, on a set in the published formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from workbench.data import face_alignment as align
from workbench.errors import DataError
from workbench.verification import ijb, ijb_files
from workbench.verification.embedders import Embedded
from workbench.verification.ijb_sample import NAME, make
from workbench.verification.templates import READINGS, Members, Pool


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("ijb"), people=9, templates=5, images=6)


@pytest.fixture(scope="module")
def protocol(folder: Path) -> ijb_files.Protocol:
    return ijb_files.read(folder)


@pytest.fixture(scope="module")
def embedded(protocol: ijb_files.Protocol) -> Embedded:
    """Embeddings that tell people apart, but not too well."""
    rng = np.random.default_rng(4)
    subject = (protocol.members.templates - 1) // 5
    centre = rng.normal(size=(9, 24))
    plain = np.zeros((len(protocol.images), 24))
    plain[protocol.members.images] = centre[subject] + 1.6 * rng.normal(size=(len(subject), 24))
    length = rng.uniform(5, 30, (len(plain), 1))
    return Embedded(
        (plain * length).astype(np.float32),
        (length * (plain + 0.5 * rng.normal(size=plain.shape))).astype(np.float32),
        protocol.images,
    )


def literal(folder: Path, plain: np.ndarray, mirrored: np.ndarray, reading: str) -> tuple:
    """The protocol from its files, template by template: scores, labels, 1:N against all galleries."""
    norm, detector, flip = (reading[k] == "1" for k in (1, 3, 5))
    meta = folder / "meta"
    points = [line.split() for line in (meta / f"{NAME}_name_5pts_score.txt").read_text().splitlines()]
    feature = {}
    for row, fields in enumerate(points):
        vector = plain[row].astype(float) + (mirrored[row].astype(float) if flip else 0)
        if not norm:
            vector = vector / np.sqrt((vector**2).sum())
        feature[fields[0]] = vector * (float(fields[-1]) if detector else 1.0)
    content: dict[int, dict[str, list]] = {}
    for line in (meta / f"{NAME}_face_tid_mid.txt").read_text().splitlines():
        image, template, medium = line.split()
        content.setdefault(int(template), {}).setdefault(medium, []).append(feature[image])
    template_vector = {}
    for template, media in content.items():
        total = sum(np.mean(frames, axis=0) for frames in media.values())
        template_vector[template] = total / np.linalg.norm(total)
    pairs = np.loadtxt(meta / f"{NAME}_template_pair_label.txt", dtype=int)
    scores = np.array([template_vector[a] @ template_vector[b] for a, b, _ in pairs])
    lists = []
    for name in ("1N_gallery_G1", "1N_gallery_G2", "1N_probe_mixed"):
        lists.append(np.loadtxt(meta / f"{NAME}_{name}.csv", delimiter=",", skiprows=1, dtype=int))
    gallery, probes = np.concatenate(lists[:2]), lists[2]
    similarity = np.array([[template_vector[p] @ template_vector[g] for g, _ in gallery] for p, _ in probes])
    mate = np.array([list(gallery[:, 1]).index(subject) for _, subject in probes])
    return scores, pairs[:, 2] == 1, similarity, mate


@pytest.mark.parametrize("reading", [str(reading) for reading in READINGS])
def test_every_reading_against_plain_numpy(folder: Path, protocol, embedded, reading: str) -> None:
    scores, same, similarity, mate = literal(folder, embedded.plain, embedded.mirrored, reading)
    pool = Pool(protocol.members, protocol.scores)
    chosen = next(found for found in READINGS if str(found) == reading)
    templates = pool.pooled(embedded.plain, embedded.mirrored, chosen)
    first, second, labels = protocol.pairs
    ours = ijb.pair_scores(templates, pool.rows(first, ""), pool.rows(second, ""))
    np.testing.assert_allclose(ours, scores, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(labels, same)
    (result,) = ijb.run(protocol, embedded, [chosen]).results
    impostors = scores[~same]
    for tar in result.tars:
        if tar.far * len(impostors) < 1:
            assert tar.tar is None
            continue
        allowed = [t for t in np.append(scores, 2) if np.mean(impostors >= t) <= tar.far]
        expected = max(np.mean(scores[same] >= t) for t in allowed)
        assert tar.tar.value == pytest.approx(expected, abs=1e-12)
    assert result.auc.value == pytest.approx(roc_auc_score(same, scores), abs=1e-12)
    both = result.identifications["G1+G2"]
    own = similarity[np.arange(len(mate)), mate]
    rank = 1 + (similarity > own[:, None]).sum(1)
    for k in (1, 5, 10):
        assert both.ranks[k].value == pytest.approx(np.mean(rank <= k), abs=1e-12)
    wrong = similarity.copy()
    wrong[np.arange(len(mate)), mate] = -2
    for fpir in (0.01, 0.1):
        threshold = np.sort(wrong.ravel())[::-1][int(np.ceil(len(mate) * fpir)) - 1]
        assert both.field_way[fpir] == pytest.approx(np.mean(own > threshold), abs=1e-12)
    assert list(result.identifications) == ["G1+G2", "G1", "G2"]
    assert result.identifications["G1"].unmated > 0


def test_galleries_of_ijb_b_have_its_names_and_a_mean_over_them(
    folder: Path, tmp_path: Path, embedded
) -> None:
    import shutil

    other = Path(shutil.copytree(folder, tmp_path / "b"))
    for side in "12":
        meta = other / "meta"
        (meta / f"{NAME}_1N_gallery_G{side}.csv").rename(meta / f"{NAME}_1N_gallery_S{side}.csv")
    outcome = ijb.run(ijb_files.read(other), embedded)
    assert not [message for message in outcome.messages if "no gallery" in message]
    tables = ijb.identification_tables(outcome)
    assert list(tables) == ["S1+S2", "S1", "S2", "mean of S1 and S2"]
    columns, names, rows = tables["mean of S1 and S2"]
    assert (columns, names) == tables["S1"][:2]
    expected = (np.array(tables["S1"][2]) + np.array(tables["S2"][2])) / 2
    np.testing.assert_allclose(rows, expected, equal_nan=True)


def test_pooling_in_blocks(protocol, embedded) -> None:
    rng = np.random.default_rng(0)
    members = Members(rng.integers(0, 500, 30_000), rng.integers(0, 900, 30_000), rng.integers(0, 40, 30_000))
    plain = rng.normal(size=(500, 7)).astype(np.float32)
    pool = Pool(members, rng.random(500))
    found = pool.pooled(plain, None, READINGS[4])  # N1D0F0
    for row in (0, 1, 450, len(pool.ids) - 1):
        mine = members.templates == pool.ids[row]
        total = sum(
            plain[members.images[mine & (members.media == medium)]].astype(float).mean(0)
            for medium in np.unique(members.media[mine])
        )
        np.testing.assert_allclose(found[row], total / np.linalg.norm(total), atol=1e-12)


def test_pair_scores_both_ways(monkeypatch) -> None:
    rng = np.random.default_rng(1)
    templates = rng.normal(size=(600, 9))
    first, second = rng.integers(0, 600, (2, 5000))
    expected = (templates[first] * templates[second]).sum(1)
    for dense in (0, 10**9):
        monkeypatch.setattr(ijb, "DENSE", dense)
        np.testing.assert_allclose(ijb.pair_scores(templates, first, second), expected, atol=1e-12)


def test_partial_results_are_labelled(folder: Path, tmp_path: Path, protocol, embedded) -> None:
    import dataclasses

    alone = dataclasses.replace(embedded, mirrored=None)
    bare = dataclasses.replace(protocol, galleries=())
    outcome = ijb.run(bare, alone)
    assert [str(result.reading) for result in outcome.results] == ["N0D0F0", "N0D1F0", "N1D0F0", "N1D1F0"]
    assert outcome.messages[0] == "partial: no mirrored embeddings, so no reading with F1"
    assert outcome.messages[1] == "partial: no gallery or probe lists, so no 1:N"
    assert any("FAR 1e-06 needs 1,000,000 impostor pairs" in message for message in outcome.messages)


def test_the_table_has_the_best_in_bold(protocol, embedded) -> None:
    outcome = ijb.run(protocol, embedded)
    columns, rows = ijb.tar_rows(outcome)
    assert columns == ["1e-06", "1e-05", "0.0001", "0.001", "0.01", "0.1", "AUC"]
    text = ijb.markdown(columns, [str(result.reading) for result in outcome.results], rows, "sample")
    best = max(row[5] for row in rows)
    assert text.count(f"**{best:.6f}**") >= 1
    lines = text.splitlines()
    assert len(lines) == 10
    assert all(line.split("|")[2].strip() == "" for line in lines[2:])  # no pairs for FAR 1e-6: nothing said


def change(folder: Path, copy: Path, name: str, old: str, new: str) -> Path:
    import shutil

    shutil.copytree(folder / "meta", copy / "meta")
    file = copy / "meta" / f"{NAME}_{name}"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return copy


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("face_tid_mid.txt", "1.png ", "9999.png ", "names image '9999.png', which has no landmarks"),
        ("template_pair_label.txt", "1 2 1", "1 2 5", "labels other than 0 and 1"),
        ("template_pair_label.txt", "1 2 1", "1 two 1", "cannot be read"),
        ("name_5pts_score.txt", "2.png ", "1.png ", "image '1.png' is listed twice"),
        ("1N_probe_mixed.csv", "\n2,1\n", "\n2,1\n2,3\n", "template 2 has two subjects"),
    ],
)
def test_broken_lists_are_refused(
    folder: Path, tmp_path: Path, name: str, old: str, new: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        ijb_files.read(change(folder, tmp_path, name, old, new))


def test_templates_without_media_are_refused(folder: Path, tmp_path: Path, embedded) -> None:
    changed = ijb_files.read(change(folder, tmp_path, "template_pair_label.txt", "1 2 1", "1 777 1"))
    with pytest.raises(DataError, match=r"template 777 has no media \(1 such templates\)"):
        ijb.run(changed, embedded)
    with pytest.raises(DataError, match="no list of templates"):
        ijb_files.read(tmp_path / "nothing")


def test_similarity_recovers_what_was_done() -> None:
    rng = np.random.default_rng(0)
    angle, scale = 0.7, 1.3
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = rng.normal(size=(5, 2))
    found = align.similarity(points, points @ turn.T + (3, -2))
    np.testing.assert_allclose(found, np.column_stack([turn, (3, -2)]), atol=1e-12)
    noisy = points @ turn.T + rng.normal(0, 0.1, (5, 2))
    best = np.square(
        points @ align.similarity(points, noisy)[:, :2].T + align.similarity(points, noisy)[:, 2] - noisy
    ).sum()
    for _ in range(200):  # no similarity nearby is better
        other = align.similarity(points, noisy + rng.normal(0, 0.05, (5, 2)))
        assert np.square(points @ other[:, :2].T + other[:, 2] - noisy).sum() >= best - 1e-12


def test_training_sets_and_protocols_are_aligned_alike(folder: Path, protocol, tmp_path: Path) -> None:
    from PIL import Image

    chosen = dict(zip(protocol.images, protocol.landmarks))
    names = align.align_folder(folder / "loose_crop", chosen, tmp_path, 112)
    found = ijb._aligned(protocol, slice(0, len(names))).pixels(112)
    written = np.stack([np.asarray(Image.open(tmp_path / name)) for name in names])
    np.testing.assert_array_equal(found, written)


def test_alignment_undoes_the_samples_turning(folder: Path, protocol) -> None:
    from workbench.data.sources import face_drawing

    who = (protocol.members.templates - 1) // 5
    drawn = face_drawing.draw(0, who, np.arange(len(who)), 112, 0.7, 0.1, 4.0)
    for number in range(0, len(who), 7):
        found = align.aligned_file(protocol.path(protocol.images[number]), protocol.landmarks[number], 112)
        inner = slice(25, 87)  # the canvas cut some corners off
        difference = found[inner, inner].astype(float) - drawn[number][inner, inner]
        shifted = found[inner, inner].astype(float) - drawn[number][inner, 26:88]
        assert np.abs(difference).mean() < 8  # twice resampled, and noisy
        assert np.abs(difference).mean() < np.abs(shifted).mean()
    with pytest.raises(DataError, match="is not there"):
        align.aligned_file(folder / "none.png", align.TEMPLATE, 112)
