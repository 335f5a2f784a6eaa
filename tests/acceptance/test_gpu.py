"""`make gpu`: every GPU of this machine trains as it must, in under 20 minutes; writes build/gpu.md."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpu_proof import Form, prove, table

from workbench.lazy import tf

pytestmark = pytest.mark.tensorflow


@pytest.mark.timeout(1800)
def test_the_gpus_of_this_machine(tmp_path: Path, root: Path) -> None:
    if not tf.config.list_physical_devices("GPU"):
        pytest.skip("TensorFlow sees no GPU on this machine")
    rows = prove(Form(), tmp_path, root)
    found = root / "build" / "gpu.md"
    found.parent.mkdir(exist_ok=True)
    found.write_text(table(rows), encoding="utf-8")
    print(f"written to {found}")
    assert [row.what for row in rows if row.holds is False] == []
