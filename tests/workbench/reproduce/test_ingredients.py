"""What differs between a record and what is here is named, without training anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench import catalog
from workbench.recorded import Recorded
from workbench.reproduce import ingredients
from workbench.tracking.records import StartRecord
from workbench.tracking.store import find_store

SPEC = '''"""Which augmentation?"""
from workbench import GDC, SGD, Cutout, Experiment, Flip, MobileFaceNet, Softmax, Stage, SyntheticFaces
experiment = Experiment(
    data=SyntheticFaces(), backbone=MobileFaceNet(image_size=32), embedding=GDC(size=16),
    stages=Stage(loss=Softmax(), epochs=1), optimizer=SGD(), learning_rate=0.1, batch_size=16, augment={augment},
)
'''


@pytest.fixture
def run(project: Path) -> Recorded:
    path = project / "experiments" / "faces.py"
    path.write_text(SPEC.format(augment="Flip()"))
    variant = catalog.override(catalog.load(path)[0], ["batch_size=8"])
    start = StartRecord(
        run="20260101T000000Z-00000001", id=variant.experiment.id, name=variant.name,
        spec=variant.experiment.to_json(),
        provenance={"spec_path": "experiments/faces.py", "origins": catalog.origins(variant)},
    )  # fmt: skip
    return Recorded(find_store(), start.run, start, variant.experiment)


def test_the_same_file_is_the_same_with_the_overrides_of_the_run(run: Recorded) -> None:
    assert ingredients.spec(run) == ingredients.Ingredient("spec", True)


@pytest.mark.parametrize(
    ("augment", "words"),
    [
        ("None", ["augment: Flip in the record, off in experiments/faces.py now"]),
        (
            "Flip(probability=0.2)",
            ["augment.probability: 0.5 in the record, 0.2 in experiments/faces.py now"],
        ),
    ],
)
def test_a_changed_augmentation_is_named(
    run: Recorded, project: Path, augment: str, words: list[str]
) -> None:
    (project / "experiments" / "faces.py").write_text(SPEC.format(augment=augment))
    found = ingredients.spec(run)
    assert (found.same, list(found.differences)) == (False, words)


def test_a_variant_or_file_that_is_gone_is_said(run: Recorded, project: Path) -> None:
    path = project / "experiments" / "faces.py"
    path.write_text(SPEC.format(augment="Flip()") + "\nexperiment = experiment.but(name='other')\n")
    assert ingredients.spec(run).differences == ("experiments/faces.py has no variant 'base' any more",)
    path.unlink()
    assert ingredients.spec(run).same is None
