"""What a reader of MLflow's pages finds of a run: its name, description, data, best values and the machine's load."""

from __future__ import annotations

import json
import sqlite3

from stores import everything, start

from workbench.tracking.rows import EpochRecord
from workbench.tracking.store import Store
from workbench.tracking.tracker import Tracker
from workbench.views import default_views, links
from workbench.views.mlflow_page import description, run_name
from workbench.views.rebuild import rebuild
from workbench.views.sync import sync

SPEC = '"""Does it help?\n\nCost: a minute.  Expected: nothing.\n"""\nexperiment = 1\n'
DATA = [
    {
        "name": "ImageFolder",
        "context": "training",
        "source": "ImageFolder('faces')",
        "fingerprint": "abc",
        "images": 90,
    },
    {"name": "lfw", "context": "evaluation", "source": "lfw", "fingerprint": "def" * 20, "pairs": 6000},
]


def silent(line: str) -> None:
    """Say nothing."""


def recorded(store: Store) -> str:
    stages = ({"number": 1, "name": "easy", "epochs": 2, "first_epoch": 1},)
    first = start(
        name="wide",
        seed=3,
        provenance={"datasets": DATA},
        stages=stages,
        parameters={"stages.1.loss": "ArcFace"},
    )
    with Tracker.open(
        store, first, views=default_views(store), texts={"spec.py": SPEC}, say=silent
    ) as tracker:
        for epoch, (lfw, loss) in enumerate([(0.7, 3.0), (0.9, 4.0), (0.8, 2.0)], start=1):
            tracker.epoch(
                EpochRecord(
                    stage=1,
                    stage_epoch=epoch,
                    epoch=epoch,
                    step=epoch,
                    seconds=1.0,
                    metrics={"lfw": lfw, "loss": loss, "lr": 0.1},
                    system={"cpu_utilization_percentage": 50.0 + epoch},
                )
            )
            tracker.publish(epoch)
        tracker.end("finished")
    return first.run


def test_the_page_tells_name_question_stages_data_best_values_and_load(store: Store) -> None:
    run = recorded(store)
    shown = everything(store)[run]
    assert shown["facts"][0] == "wide:3"
    note = shown["tags"]["mlflow.note.content"].replace("&emsp;", "")
    assert "Does it help?" in note and "Expected: nothing" in note and "| 1 | easy | 2 | ArcFace |" in note
    assert [(name, context) for name, _, _, context in shown["inputs"]] == [
        ("ImageFolder", "training"),
        ("lfw", "evaluation"),
    ]
    assert json.loads(shown["inputs"][1][2]) == {"fingerprint": "def" * 20, "pairs": 6000}
    latest = {key: value for key, _, value, _ in shown["latest"]}
    assert (latest["best/lfw"], latest["best/loss"], latest["lfw"]) == (0.9, 2.0, 0.8)
    assert "best/lr" not in latest
    assert latest["system/cpu_utilization_percentage"] == 53.0


def test_a_rebuild_makes_the_same_page(store: Store) -> None:
    run = recorded(store)
    before = everything(store)[run]
    rebuild(store, silent)
    after = everything(store)[run]
    for part in ("tags", "inputs", "latest", "metrics"):
        assert after[part] == before[part], part


def test_a_description_that_a_reader_wrote_stays(store: Store) -> None:
    from workbench.tracking.mlflow_client import open_client
    from workbench.views.sync import sync

    run = recorded(store)
    client = open_client(store)
    (found,) = client.search_runs([client.get_experiment_by_name("margin").experiment_id])
    client.set_tag(found.info.run_id, "mlflow.note.content", "mine")
    sync(store, silent)
    assert everything(store)[run]["tags"]["mlflow.note.content"] == "mine"


def test_names_and_descriptions_without_a_spec() -> None:
    assert run_name(start(name="a", seed=1, quick=True)) == "a:1 (quick)"
    first = start(stages=(), provenance={"question": "Why?"})
    assert description(first, "not ( python") == f"Why?\n\n{links.sentence(first)}"


def test_tags_for_the_program_alone_have_names_that_mlflow_hides_also_in_an_older_store(store: Store) -> None:
    run = recorded(store)
    before = everything(store)[run]["tags"]
    ours = {name.removeprefix("workbench.") for name in before if name.startswith("workbench.")}
    assert ours == {"run", "id", "study", "name", "seed", "quick", "status", "attempts"}
    hidden = {name for name in before if name.startswith("mlflow.workbench.")}
    assert hidden == {"mlflow.workbench.files", "mlflow.workbench.datasets"}
    with sqlite3.connect(store.database) as database:  # as earlier versions named them
        database.execute("UPDATE tags SET key = substr(key, 8) WHERE key LIKE 'mlflow.workbench.%'")
    assert "workbench.files" in everything(store)[run]["tags"]
    assert sync(store, silent).changed == [run]
    assert everything(store)[run]["tags"] == before
    assert len(everything(store)[run]["inputs"]) == len(DATA)
    assert sync(store, silent).changed == []
