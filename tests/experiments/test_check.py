"""`workbench check experiments/*.py`: every study checks on a machine without any of the data sets.

Here all of them without steps, and a few of different kinds with the steps of their small forms;
tests/acceptance/test_studies.py steps all, and builds all networks at full size as well.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from workbench import GAP, ImageFolder, Steps, TFRecords
from workbench.cli import main
from workbench.commands.check import news
from workbench.commands.dry_run import DryRun
from workbench.commands.dry_run_networks import Networks
from workbench.commands.dry_run_stages import kind
from workbench.spec.datasets import default_places
from workbench.spec.experiment import Experiment
from workbench.spec.load import load_variants

ROOT = Path(__file__).resolve().parents[2]
SPECS = sorted((ROOT / "experiments").glob("*.py"))
# Stages and a head's stage, mined triplets on missing data, a teacher's embeddings, sweeps, features without a network.
STEPPED = ("quickstart", "offline_triplets_emore", "embedding_regression", "digits_sweep", "orl_faces")

SPEC = '''
"""Is it checked?"""

from workbench import E, PlainCNN, SGD, ArcFace, Experiment, Softmax, Stage, SyntheticFaces, Triplet

base = Experiment(
    data=SyntheticFaces(identities=8, images=16, image_size=32), backbone=PlainCNN(), embedding=E(size=8),
    stages=(Stage(loss=Softmax(), epochs=2), Stage(loss=ArcFace(scale=16), epochs=1)),
    optimizer=SGD(), learning_rate=0.1, batch_size=16,
)
'''


def names(paths: list[Path]) -> list[str]:
    return [f"{v.study}/{v.name}  id {v.experiment.id}" for path in paths for v in load_variants(path)]


@pytest.mark.tensorflow
def test_all_studies_check_without_their_data(project: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check", "--no-steps", *map(str, SPECS)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if "  id " in line] == names(SPECS)
    assert any("faces_emore_112x112_folders' is not there" in line for line in said)


@pytest.mark.tensorflow
def test_studies_of_different_kinds_step_in_their_small_forms(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    paths = [ROOT / "experiments" / f"{study}.py" for study in STEPPED]
    assert main(["check", "--small", *map(str, paths)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if "  id " in line] == names(paths)
    for loss in ("Softmax", "Triplet", "ArcFace", "DistillEmbedding"):
        assert any("  stage " in line and loss in line for line in said), loss


@pytest.mark.tensorflow
def test_one_file_steps_every_stage_at_full_size_and_several_try_what_is_new(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    first, second = project / "experiments" / "one.py", project / "experiments" / "two.py"
    first.write_text(SPEC + "experiments = [base, base.but(stages=base.stages[:1])]\n")
    second.write_text(SPEC + "experiment = base.but(stages=(base.stages[1], base.stages[0]))\n")
    alone = [line for line in checked(capsys, first) if "stage " in line]
    assert [line.split()[1] for line in alone] == ["1", "2"], "the second variant holds nothing new"
    assert all("trained parameters" in line for line in alone)
    both = checked(capsys, first, second)
    stages = [(line.split()[1], line.split()[2].partition("(")[0]) for line in both if "  stage " in line]
    assert stages == [("1", "Softmax"), ("2", "ArcFace"), ("2", "Softmax")], (
        "the other order is another switch"
    )
    assert sum("  network " in line for line in both) == 1


def checked(capsys: pytest.CaptureFixture[str], *paths: Path) -> list[str]:
    assert main(["check", *map(str, paths)]) == 0
    return capsys.readouterr().out.splitlines()


def two_stages(project: Path) -> Path:
    path = project / "experiments" / "study.py"
    path.write_text(SPEC + "experiment = base\n")
    return path


def spec(project: Path, line: str) -> Experiment:
    path = project / "experiments" / "study.py"
    path.write_text(SPEC + f"experiment = {line}\n")
    return load_variants(path)[0].experiment


def test_stages_that_differ_in_numbers_alone_are_of_one_kind(project: Path):
    def stage(text: str) -> object:
        return kind(spec(project, f"base.but(stages=Stage(epochs=1, {text}))").plans()[0].loss)

    assert stage("loss=ArcFace(scale=16)") == stage("loss=ArcFace(scale=64, margin=0.4)")
    assert stage("loss=ArcFace()") != stage("loss=ArcFace(margin=0)")
    assert stage("loss=ArcFace()") != stage("loss=ArcFace(form='trig')")
    assert stage("loss=ArcFace() + 64 * Triplet()") == stage("loss=ArcFace() + 8 * Triplet(alpha=0.2)")
    assert stage("loss=Triplet()") != stage("loss=Triplet(mining='all')")


def test_what_has_been_tried_is_not_tried_again(project: Path):
    trials = DryRun(full=False, where=default_places(project), build=False)
    both = spec(project, "base")
    assert trials._untried(both) == {1, 2}
    assert trials._untried(both) == set()
    assert trials._untried(both.but(learning_rate=0.2)) == set()
    assert trials._untried(both.but(label_smoothing=0.1)) == {1, 2}
    assert trials._untried(both.but(stages=both.stages * 2)) == {3}, "the switch back to softmax"
    assert trials._untried(both.but(learning_rate=Steps(peak=0.1, factor=0.1, from_epochs=(2,)))) == {1}
    assert trials._untried(both.but(embedding=both.embedding.but(dropout=0.5))) == {1}, "a network once"
    built = DryRun(full=False, where=default_places(project))
    assert built._untried(both) == {1, 2}
    assert built._untried(both.but(embedding=both.embedding.but(dropout=0.5))) == set(), "built at full size"
    assert built._untried(both.but(embedding=GAP(size=8))) == {1}, "another class of head"
    whole = DryRun(full=True, where=default_places(project))
    assert whole._untried(both) == {1, 2}
    assert whole._untried(both.but(stages=both.stages * 2)) == {1, 2, 3, 4}, "at full size all of a variant"
    assert whole._untried(both) == set()


@pytest.mark.tensorflow
def test_a_stage_after_tried_ones_is_stepped_as_in_a_run(project: Path):
    """The stage before is begun, so that a switch hands on what it would; its network was stepped before."""
    trials = DryRun(full=False, where=default_places(project), build=False)
    both = load_variants(two_stages(project))[0]
    first = list(trials.lines(both, both.experiment))
    again = both.experiment.but(stages=both.experiment.stages * 2)
    assert [type(key[0]).__name__ for key in trials.networks._small] == ["PlainCNN"]
    more = list(trials.lines(dataclasses.replace(both, experiment=again), again))
    assert [line.split()[1] for line in first + more] == ["1", "2", "3"]
    assert [type(key[0]).__name__ for key in trials.networks._small] == ["PlainCNN", "LeakyCNN"]
    named = both.experiment.but(label_smoothing=0.1, stages=both.experiment.stages[0].but(train=("conv*",)))
    assert len(list(trials.lines(dataclasses.replace(both, experiment=named), named))) == 1
    assert len(trials.networks._small) == 2, "layers are named of its own network, which is not built anew"


@pytest.mark.tensorflow
def test_a_network_is_given_back_as_it_was_built(project: Path):
    networks, form = Networks(), spec(project, "base.but(embedding=E(size=8, dropout=0.5))")
    network = networks.small(form)
    images = np.random.default_rng(0).normal(size=(16, 32, 32, 3)).astype(np.float32)
    first = network(images, training=True).numpy()  # dropout, and moving statistics
    assert np.abs(network(images, training=True).numpy() - first).max() > 0.01
    network.layers[1].trainable = False
    network.set_weights([weight + 1 for weight in network.get_weights()])
    again = networks.small(form)
    assert again is network
    assert again.layers[1].trainable
    np.testing.assert_array_equal(again(images, training=True).numpy(), first)


def test_what_was_said_of_a_variant_is_not_said_of_the_next():
    said: set[str] = set()
    first = ["missing: faces", "a picture\nof two lines", "stage 1 Softmax: 2 epochs"]
    assert list(news(first, said)) == first
    second = ["missing: faces", "another picture", "stage 1 Softmax: 2 epochs"]
    assert list(news(second, said)) == [*second[1:], "all else as above"]
    assert list(news(["no weight decay"], said)) == ["no weight decay"]


def test_a_stand_in_has_as_many_identities_as_the_missing_set_where_those_are_few():
    ten = TFRecords("x.tfrecord", identities=10, teacher=10).stand_in()
    assert (ten.identities, ten.teacher, ten.quick().identities, ten.quick().teacher) == (10, 10, 8, 8)
    many = TFRecords("x.tfrecord", identities=10572, teacher=10572).stand_in()
    assert (many.identities, many.teacher) == (8, 8), "a logit an identity here as there"
    vectors = TFRecords("x.tfrecord", identities=10572, teacher=512).stand_in()
    assert (vectors.identities, vectors.teacher) == (8, 512)
    assert ImageFolder("faces").stand_in().identities == 8
    assert ImageFolder("faces", identities=5).stand_in().identities == 5
