"""MLflow is imported by one thread at a time: a stand-in that takes its time shows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CHILD = "import whose\nwhose.comes()\nwhose.inside.clear()"
MLFLOW = {
    "whose.py": "import threading\ninside = []\nat_once = []\ndef comes():\n"
    "    at_once.extend(set(inside) - {threading.get_ident()})\n    inside.append(threading.get_ident())",
    "mlflow/__init__.py": "import time, whose\nwhose.comes()\ntime.sleep(1)\nwhose.inside.clear()",
    "mlflow/store/__init__.py": CHILD,
    "mlflow/store/tracking/__init__.py": "",
    "mlflow/store/tracking/sqlalchemy_store.py": "import sqlite3\nclass SqlAlchemyStore:\n    def __init__(self, where, place):\n"
    "        with sqlite3.connect(where.removeprefix('sqlite:///')) as made:\n"
    "            made.execute('CREATE TABLE experiments (artifact_location TEXT)')",
    "mlflow/system_metrics/__init__.py": CHILD,
    "mlflow/system_metrics/metrics/__init__.py": "",
    "mlflow/system_metrics/metrics/cpu_monitor.py": "class CPUMonitor: pass",
}
TOGETHER = """
import threading
from pathlib import Path
from workbench.tracking.mlflow_client import migrate
from workbench.train.system_metrics import made
found = []
sampler = threading.Thread(target=lambda: found.extend(made()))
sampler.start()
migrate(Path("db"), Path("artifacts"))
sampler.join()
import whose
print(len(found), len(whose.at_once))
"""


def test_the_sampler_and_the_views_do_not_meet_mlflow_half_imported(tmp_path: Path, root: Path):
    for name, text in MLFLOW.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", TOGETHER],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{root}"},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "0"]


def test_a_store_may_have_quotes_in_its_path(tmp_path: Path, root: Path) -> None:
    code = (
        "import sys\n"
        "from workbench.tracking.mlflow_client import open_client\n"
        "from workbench.tracking.store import find_store\n"
        "store = find_store(sys.argv[1])\n"
        "(first,) = open_client(store).search_experiments()\n"
        "assert first.artifact_location == str(store.artifacts / '0') and store.artifacts.is_dir()\n"
    )
    place = tmp_path / """it's a "store" :x""" / "mlruns"
    subprocess.run([sys.executable, "-c", code, str(place)], cwd=root, check=True, timeout=1200)
