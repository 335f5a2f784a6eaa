"""What a loss says of several devices is true: every loss is that of one device with the global batch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from running import finished
from test_contract import SIDE, STAGES, B, C, begun, experiment, teacher_of

import workbench
from workbench.spec.interfaces import Loss, terms
from workbench.spec.part import find

HERE = Path(__file__).resolve().parent
GATHERING = {"Triplet", "Center", "AdaFace", "AdaCos", "CurricularFace"}


def test_the_losses_with_batch_statistics_say_so() -> None:
    names = [name for name, place in workbench.PARTS.items() if place.startswith("workbench.losses")]
    parts = [find(name) for name in names]
    assert {part.__name__ for part in parts if issubclass(part, Loss) and part.batch_statistics} == GATHERING


@pytest.mark.tensorflow
def test_every_other_loss_is_the_mean_of_its_images_so_that_devices_may_share_a_batch() -> None:
    others = [loss for loss in STAGES if not any(term.loss.batch_statistics for term in terms(loss))]
    assert len(others) > 10
    rng = np.random.default_rng(0)
    images = rng.normal(size=(B, SIDE, SIDE, 3)).astype(np.float32)
    labels, numbers = rng.integers(0, C, B).astype(np.int32), np.arange(B, dtype=np.int64)
    for loss in others:
        if any("Sampled" in str(term.loss) for term in terms(loss)):
            continue  # its columns are drawn for each batch anew; it is one of those trained below
        size = teacher_of(loss)
        more = [rng.normal(size=(B, size)).astype(np.float32)] if size else []
        trainer = begun(experiment(loss, label_smoothing=0.1), size)

        def of(rows: slice) -> dict[str, float]:
            data = [column[rows] for column in (images, labels, numbers, *more)]  # noqa: B023 - called at once
            return {name: float(value) for name, value in trainer.batch_terms(data, True)[0].items()}  # noqa: B023

        whole, halves = of(slice(0, B)), [of(slice(0, B // 2)), of(slice(B // 2, B))]
        for name, value in whole.items():
            assert value == pytest.approx(sum(half[name] for half in halves) / 2, rel=1e-5), (str(loss), name)
            assert halves[0][name] != pytest.approx(halves[1][name], rel=1e-3), "the test could not fail"


@pytest.mark.tensorflow
def test_a_loss_with_batch_statistics_is_on_two_devices_that_of_one(tmp_path: Path) -> None:
    done = finished(tmp_path, program=(str(HERE / "loss_pairs.py"),))
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert {name.partition("(")[0] for name in found} >= GATHERING
    for name, row in found.items():
        assert row["two"][0] < 1e-5, name
        assert row["two"][1] < 1e-4, name
        if row["statistics"]:
            assert max(row["own"]) > 1e-3, f"{name}: the test cannot tell gathering from not gathering"
