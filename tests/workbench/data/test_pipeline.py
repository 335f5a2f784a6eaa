"""The pipeline's promises: purity, equal bits on every way, and what an element is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from material import batches, places, plan, same_bits, write_faces
from PIL import Image

import workbench
from workbench import Flip, Identities, ImageFolder, RecordIO, SyntheticFaces, TFRecords
from workbench.errors import DataError
from workbench.pixels import normalise

pytestmark = pytest.mark.tensorflow

CHAINS: dict[str, tuple[Any, ...]] = {
    "none": (),
    "vectorised": (Flip(), workbench.Cutout(), workbench.Affine(rotation=5)),
    "one by one": (Flip(), workbench.RandAugment(operations=("Color", "ShearX"), layers=1)),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_faces(tmp_path / "data" / "faces", people=4, images=6).parent


def split(root: Path, source: Any = None, seed: int = 1) -> Any:
    from workbench.data import pipeline

    return pipeline.open_split(source or ImageFolder("faces", hold_out=0.3), places(root), seed)


@pytest.mark.parametrize("chain", CHAINS)
def test_same_batches_from_any_step_on_any_number_of_threads(root: Path, chain: str) -> None:
    images, train, _ = split(root)
    stage = plan(augment=CHAINS[chain])
    steps = len(train) // 4
    full = batches(images, train, plan=stage)
    assert len(full) == 3 * steps
    for start in (0, 1, steps, 2 * steps - 1):
        assert same_bits(batches(images, train, plan=stage, start_step=start, threads=1), full[start:])
    assert same_bits(batches(images, train, plan=stage, threads=7), full)
    branch = plan(augment=CHAINS[chain], first_epoch=3, epochs=2)  # another stage over the same epoch
    assert same_bits(batches(images, train, plan=branch)[:steps], full[2 * steps :])
    assert not same_bits(batches(images, train, plan=stage, seed=6), full)


def test_images_read_in_one_call_are_those_read_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.data import pipeline

    images, train, _ = split(root, ImageFolder("faces", hold_out=0.3, keep="no"))
    stage = plan(augment=(Flip(), workbench.Affine(rotation=5)), batch_size=6)
    found = []
    for most, count in ((8, 6), (5, 3), (1, 1)):
        monkeypatch.setattr(pipeline, "TOGETHER", most)
        assert pipeline._in_a_call(6, (Flip(),)) == count
        assert pipeline._in_a_call(6, (Flip(), workbench.RandAugment())) == 1
        spec = pipeline.training(images, train, stage, 24, 0, 2).element_spec
        assert spec[0].shape.as_list() == [6, 24, 24, 3]
        found.append(batches(images, train, plan=stage))
    assert same_bits(found[0], found[2])
    assert same_bits(found[1], found[2])


def test_element_and_epochs(root: Path) -> None:
    images, train, held = split(root)
    rows = batches(images, train, plan=plan(augment=(Flip(),)))
    steps = len(train) // 4
    for row in rows:
        pixels, labels, ids = row
        assert (pixels.dtype, labels.dtype, ids.dtype) == (np.uint8, np.int32, np.int64)
        assert pixels.shape == (4, 24, 24, 3)
        np.testing.assert_array_equal(labels, images.labels[ids])
        assert np.isin(ids, train).all()
        for image, number in zip(pixels, ids):
            person, name = images.names[number].split("/")
            stored = np.asarray(Image.open(root / "faces" / person / name).convert("RGB"))
            assert (image == stored).all() or (image == stored[:, ::-1]).all()
    for epoch in range(3):
        ids = np.concatenate([row[2] for row in rows[epoch * steps : (epoch + 1) * steps]])
        assert len(np.unique(ids)) == len(ids)
    assert not np.array_equal(rows[0][2], rows[steps][2])
    assert not np.isin(held, train).any()


def test_hold_out_is_taken_from_each_identity(root: Path) -> None:
    from workbench.data import pipeline

    images, train, held = split(root)
    np.testing.assert_array_equal(np.bincount(images.labels[held]), [2, 2, 2, 2])  # 0.3 of 6, rounded
    np.testing.assert_array_equal(np.sort(np.concatenate([train, held])), np.arange(24))
    np.testing.assert_array_equal(split(root).held, held)
    assert not np.array_equal(split(root, seed=2).held, held)
    labels = np.repeat([0, 1, 2], [1, 2, 100])
    assert np.bincount(labels[pipeline.held_out(labels, 0.05, 0)], minlength=3).tolist() == [0, 1, 5]
    assert np.bincount(labels[pipeline.held_out(labels, 0.99, 0)], minlength=3).tolist() == [0, 1, 99]
    rows = list(pipeline.holdout(images, held, 3, 24).as_numpy_iterator())
    np.testing.assert_array_equal(np.concatenate([row[2] for row in rows]), held)
    assert [len(row[0]) for row in rows] == [3, 3, 2]
    again = list(pipeline.holdout(images, held, 8, 24, threads=1).as_numpy_iterator())
    np.testing.assert_array_equal(np.concatenate([row[0] for row in rows]), again[0][0])


@pytest.mark.parametrize("chain", CHAINS)
def test_every_form_and_every_way_of_keeping_gives_equal_bits(root: Path, tmp_path: Path, chain: str) -> None:
    from workbench.data import convert

    stored = ImageFolder("faces").encoded(places(root))
    convert.to_recordio(stored, root / "t.rec")
    convert.to_tfrecords(stored, root / "t.tfrecord")
    convert.to_folder(RecordIO("t.rec").encoded(places(root)), root / "back")
    wanted = None
    folder, *others = ImageFolder("faces"), RecordIO("t.rec"), TFRecords("t.tfrecord"), ImageFolder("back")
    ways = ("decoded", "encoded", "no")
    pairs = [(folder, keep) for keep in ways]
    # What changes the images does not see where they are from: every form in every way once, without a chain.
    pairs += list(zip(others, ways)) if CHAINS[chain] else [(each, keep) for each in others for keep in ways]
    for source, keep in pairs:
        images, train, _ = split(root, source.but(keep=keep, hold_out=0.2))
        rows = batches(images, train, plan=plan(augment=CHAINS[chain], epochs=1), size=20)
        wanted = wanted or rows
        assert same_bits(rows, wanted), f"{source} {keep}"


def test_orl_faces_through_every_form(real_data: Path, tmp_path: Path) -> None:
    from workbench.data import convert, pair_files, pipeline
    from workbench.spec.interfaces import Places

    where = Places((real_data, tmp_path), tmp_path / "cache")
    folder = ImageFolder("orl_faces", identities=40, images=400)
    convert.to_recordio(folder.encoded(where), tmp_path / "t.rec")
    convert.to_tfrecords(RecordIO("t.rec").encoded(where), tmp_path / "t.tfrecord")
    last = TFRecords("t.tfrecord", identities=40, images=400)
    convert.to_folder(last.encoded(where), tmp_path / "back")
    for file in (real_data / "orl_faces").glob("*/*.png"):
        copy = tmp_path / "back" / file.relative_to(real_data / "orl_faces")
        assert copy.read_bytes() == file.read_bytes()
    convert.to_bin(*convert.drawn_pairs(last.encoded(where), 100, 0), tmp_path / "t.bin")
    found = pair_files.read_bin(tmp_path / "t.bin")
    originals = {file.read_bytes() for file in (real_data / "orl_faces").glob("*/*.png")}
    assert set(found.encoded) <= originals
    rows = []
    for source in (folder, RecordIO("t.rec"), last, ImageFolder("back")):
        images, train, _ = pipeline.open_split(source, where, 0)
        rows.append(batches(images, train, plan=plan(augment=(Flip(),), epochs=1, batch_size=100), size=56))
    assert all(same_bits(one, rows[0]) for one in rows[1:])


def test_shards_are_parts_of_the_whole_batch(root: Path) -> None:
    images, train, _ = split(root)
    stage = plan(augment=(Flip(),))
    full = batches(images, train, plan=stage)
    halves = [batches(images, train, plan=stage, shard=(k, 2)) for k in range(2)]
    for whole, first, second in zip(full, *halves, strict=True):
        for part in range(3):
            np.testing.assert_array_equal(whole[part], np.concatenate([first[part], second[part]]))
    with pytest.raises(DataError, match="a multiple of 3"):
        batches(images, train, plan=stage, shard=(0, 3))


def test_sampler_and_teacher_and_mixup(tmp_path: Path) -> None:
    source = SyntheticFaces(identities=4, images=5, image_size=24, teacher=6)
    images, train, _ = split(tmp_path, source)
    stage = plan(sampler=Identities(identities=2, images=2), epochs=1)
    for _, labels, ids, teacher in batches(images, train, plan=stage):
        assert len(np.unique(labels)) == 2
        assert len(np.unique(ids)) == 4
        np.testing.assert_allclose(np.linalg.norm(teacher, axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(teacher, images.teacher(ids))
    from workbench.data import pipeline

    mixed = pipeline.training(images, train, plan(augment=(workbench.Mixup(1.0),)), 24, 0, 5, 3)
    plain = pipeline.training(images, train, plan(), 24, 0, 5, 3)
    shares = set()
    for (x, labels, ids, _), (y, _, same_ids, _) in zip(mixed, plain, strict=True):
        np.testing.assert_array_equal(ids, same_ids)
        share = float(labels.share)
        shares.add(share)
        partner = [np.flatnonzero(images.labels[ids] == p) for p in labels.partners.numpy()]
        assert all(len(p) for p in partner)
        np.testing.assert_array_equal(labels.labels, images.labels[ids])
        y = normalise(y).numpy()
        assert x.dtype == np.float32
        rest = (x.numpy() - share * y) / (1 - share)
        for row in rest:  # what is left is one of the batch's own images
            assert min(np.abs(row - other).max() for other in y) < 0.05 / (1 - share)
    assert len(shares) == 12


def test_too_few_images_for_a_batch(root: Path) -> None:
    images, train, _ = split(root)
    with pytest.raises(DataError, match="16 training images for batches of 32"):
        batches(images, train, plan=plan(batch_size=32), steps=1)


def test_image_that_breaks_in_its_middle_is_named(tmp_path: Path) -> None:
    from workbench.data.sources import encoded

    folder = write_faces(tmp_path / "data" / "faces", side=48)
    victim = folder / "person 1" / "02.png"
    content = bytearray(victim.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
    victim.write_bytes(content)
    images = ImageFolder("faces", keep="decoded").open(places(folder.parent))
    with pytest.raises(DataError, match="person 1/02.png cannot be decoded"):
        images.reader(48)
    with pytest.raises(DataError, match="person 1/02.png is cut short or damaged"):
        ImageFolder("faces", thorough=True).open(places(folder.parent))
    assert len(ImageFolder("faces", thorough=True, broken="skip").open(places(folder.parent)).labels) == 19
    # Not from the index of the thorough look, which is believed once the folder has been left alone for two seconds.
    stored = ImageFolder("faces", recheck=True).encoded(places(folder.parent))
    assert encoded.blame(stored, [0, 1]) is None
    (folder / "person 0" / "01.png").unlink()
    assert "person 0/01.png is gone" in str(encoded.blame(stored, [0, 1]))


def test_a_broken_image_among_chosen_records_is_named_and_not_the_first_that_was_asked_for(
    tmp_path: Path,
) -> None:
    from workbench.data import decode

    folder = write_faces(tmp_path / "data" / "faces", side=48)
    images = ImageFolder("faces", keep="no").open(places(folder.parent))
    victim = folder / "person 1" / "02.png"
    victim.write_bytes(victim.read_bytes()[:100])
    with pytest.raises(DataError, match="faces: person 1/02.png cannot be decoded"):
        decode.records(images, np.arange(3, 15), 48)


def test_changed_data_is_said_once(root: Path) -> None:
    assert split(root).images.notes == ()
    assert split(root).images.notes == ()
    (root / "faces" / "person 0" / "00.png").unlink()
    assert "has changed since it was last used here" in split(root).images.notes[0]
    assert split(root).images.notes == ()


def test_resized_images_are_pillows_within_a_level(tmp_path: Path) -> None:
    from workbench.data import decode

    folder = write_faces(tmp_path / "data" / "faces", people=2, images=2, side=60)
    images = ImageFolder("faces").open(places(folder.parent))
    for size in (24, 90):
        shown = images.reader(size)(0).numpy().astype(int)
        photo = Image.open(folder / "person 0" / "00.png").convert("RGB")
        wanted = np.asarray(photo.resize((size, size), Image.Resampling.BILINEAR)).astype(int)
        assert np.abs(shown - wanted).max() <= 1
    grey = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    np.testing.assert_array_equal(decode.fit_all(grey, 8), np.repeat(grey[..., None], 3, -1))


def test_a_trained_network_knows_drawn_faces_and_an_untrained_one_does_not(tmp_path: Path) -> None:
    import tensorflow as tf

    from workbench.data import pipeline

    tf.keras.utils.set_random_seed(0)
    source = SyntheticFaces(identities=8, images=40, image_size=32, hold_out=0.25)
    images, train, held = split(tmp_path, source)
    relu = {"padding": "same", "activation": "relu"}
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Conv2D(16, 5, 2, **relu),
            tf.keras.layers.BatchNormalization(),
            tf.keras.layers.Conv2D(32, 3, 2, **relu),
            tf.keras.layers.BatchNormalization(),
            tf.keras.layers.Conv2D(64, 3, 2, **relu),
            tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(8),
        ]
    )
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf.keras.optimizers.Adam(2e-3), loss, metrics=["accuracy"])
    kept = pipeline.holdout(images, held, 40, 32).map(lambda x, y, _: (normalise(x), y))
    before = model.evaluate(kept, verbose=0)[1]
    rows = pipeline.training(images, train, plan(augment=(Flip(),), batch_size=24, epochs=25), 32, 0, 10)
    model.fit(rows.map(lambda x, y, _: (normalise(x), y)), verbose=0)
    after = model.evaluate(kept, verbose=0)[1]
    assert before < 0.35
    assert after > 0.6
