"""Which reader a file or folder is for, seen from its first bytes; its name is the last thing asked.

One row a format: the module that reads it and what gives its files away. A refusal ends with the format that
the file is nearest to.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from analysis.sources.lines import is_hidden, plain_text, reading
from workbench.errors import RecordError

SNIFFED_BYTES = 1 << 19
SQLITE = b"SQLite format 3\x00"
TEXT_LOGS = (  # module, what gives its logs away in their first bytes
    ("journal", rb"\A[0-9a-f]{8} \{"),
    ("arcface_torch_log", rb"^Training: \d{4}-\d\d-\d\d [\d:,]+-"),
    (
        "mxnet_log",
        rb"Called with argument: Namespace\(|Epoch\[\d+\] (?:Batch|Train-|Time cost)|\]Accuracy-Flip: |Iter\[\d+\] Batch \[",
    ),
    (
        "keras_output",
        rb"(?:^|[\r\n\x08m]|[^\w/-])Epoch \d+/\d+ *(?:\x1b\[[0-9;]*m)*\r?$|^>>>> \S+ evaluation max accuracy: ",
    ),
)
FORMS = {  # by module: how a file of it looks, for refusals
    "csv_log": "a CSV file: a first line of names such as 'epoch,loss,val_loss', a row an epoch below it",
    "history_json": "JSON: an object of lists, a number an epoch, or a list of objects, one an epoch",
    "keras_output": "the console output of Keras: 'Epoch 1/50', then '... - loss: 1.2 - accuracy: 0.5'",
    "mxnet_log": "a log of MXNet insightface: lines such as 'Epoch[0] Batch [20] Speed: ...'",
    "arcface_torch_log": "a log of arcface_torch: lines such as 'Training: 2021-03-14 21:40:01,151-Speed ...'",
    "tfevents": "event files of TensorBoard, called *tfevents*",
    "mlruns_folder": "a folder of MLflow: meta.yaml, metrics/, params/ and tags/ in every run",
    "journal": "a journal of a run: a checksum and a JSON object a line",
}
PICKLES = (
    b"}q",
    b"ccollections",
    b"c__builtin__",
    b"\x80\x02",
    b"\x80\x03",
    b"\x80\x04",
    b"\x80\x05",
    b"(dp",
    b"(lp",
)
WANDB = b":W&B"  # the format is the program's own, and no library that is declared here reads it
WANDB_REFUSED = "is an offline record of Weights & Biases, which is not read"
EXPORT = "`wandb sync` it and export the run's history or a chart as CSV, which is read"
# What histories and logs end in, where no usual name is found.
RECORDS = (".json", ".csv", ".log", ".jsonl", ".tsv")
LOOKED_FOR = (  # the files of a training's folder that hold its record
    "metrics.csv",
    "results.csv",
    "summary.csv",
    "history.csv",
    "trainer_state.json",
    "history.json",
    "log.txt",
    "training.log",
    "train.log",
    "training_log.csv",
    "log.csv",
)


def kind_of(path: Path) -> str:
    """Return the module that reads a file or folder; raises `RecordError` for one that none does."""
    from analysis.sources import mlruns_folder

    if path.is_dir():
        return "mlruns_folder" if mlruns_folder.is_folder(path) else "tfevents"
    head = _head(path)
    if "tfevents" in path.name:
        return "tfevents"
    if is_database(path):
        return "mlflow_sql"
    if path.suffix == ".wandb" or head.startswith(WANDB):
        raise RecordError(WANDB_REFUSED, where=path, do=EXPORT)
    # Such a beginning is also that of a text, which a name for texts decides.
    if head.startswith(PICKLES) and path.suffix not in (".json", ".csv"):
        return "pickled_history"
    # Logs before JSON and CSV: a line of theirs may hold braces and commas, but no table looks like a log.
    for module, sign in TEXT_LOGS:
        if re.search(sign, head, re.MULTILINE):
            return module
    found = _by_form(path, head)
    if found is None:
        first = next((line for line in head.decode("utf-8", "replace").split("\n") if line.strip()), "")
        what = f"begins with {first.strip()[:60]!r}" if first else "is empty"
        raise RecordError(
            f"not a record that is understood: it {what}", where=path, expected=nearest_form(path)
        )
    return found


def _head(path: Path) -> bytes:
    """Return the first bytes, as UTF-8 without a byte order mark."""
    with reading(path) as file:
        head = file.read(SNIFFED_BYTES)
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or head[1:64:2].count(0) > 16:
        return plain_text(head[: len(head) // 2 * 2]).encode()
    return head.removeprefix(codecs.BOM_UTF8)


def is_database(path: Path) -> bool:
    """Tell a file of SQLite, whatever it is called, by its first bytes."""
    try:
        with reading(path) as file:
            return file.read(len(SQLITE)) == SQLITE
    except RecordError:
        return False


def _by_form(path: Path, head: bytes) -> str | None:
    """Tell JSON and CSV, whatever the file is called."""
    from analysis.sources.csv_log import header_at

    text = head.lstrip()
    if path.suffix == ".json" or (text[:1] in b"{[" and text):
        return "history_json"
    lines = head.decode("utf-8", "replace").replace("\r\r\n", "\n").replace("\r", "\n").split("\n")
    if path.suffix == ".jsonl" or any(re.search(r"\{\s*\"", line) for line in lines[:3]):
        return "history_json" if any(line.rstrip().endswith("}") for line in lines) else None
    return "csv_log" if header_at(lines) is not None else None


def nearest_form(path: Path) -> str:
    """Return how a file of the format looks that a refused file is nearest to, by its name."""
    if path.is_dir():
        return f"{FORMS['tfevents']}; {FORMS['mlruns_folder']}; or a file called {', '.join(LOOKED_FOR[:5])}"
    by_suffix = {".json": "history_json", ".jsonl": "history_json", ".csv": "csv_log", ".tsv": "csv_log"}
    if path.suffix in by_suffix:
        return FORMS[by_suffix[path.suffix]]
    return "; ".join(FORMS[name] for name in ("keras_output", "mxnet_log", "arcface_torch_log", "csv_log"))


def records_in(folder: Path) -> list[Path]:
    """Return the records of a folder that holds neither event files nor MLflow's: what trainings call them."""
    found = [path for name in LOOKED_FOR for path in folder.rglob(name)]
    if not found:
        found = [path for path in folder.rglob("*") if path.suffix in RECORDS]
    return sorted(path for path in set(found) if path.is_file() and not is_hidden(path.relative_to(folder)))


def reader(kind: str) -> Callable[..., Any]:
    """Return the function that reads a kind of record: (path, options) to runs and remarks."""
    if kind == "pickled_history":
        from analysis.sources.history_json import read_pickle

        return read_pickle
    found: Callable[..., Any] = import_module(f"analysis.sources.{kind}").read
    return found
