"""A Ray cluster of two nodes on this machine, one processor each, for the acceptance tests."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from running import ROOT

# Loopback only, no usage statistics. The second variable is Ray's switch for one-machine clusters.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
NODES = """
import sys
from ray.cluster_utils import Cluster
node = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=node)
second = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
print(cluster.address, second.node_id, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@contextlib.contextmanager
def ray_cluster(folder: Path) -> Iterator[tuple[str, str]]:
    """Give the cluster's address and the id of its second node, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", NODES],
        cwd=folder,
        env={**os.environ, **QUIET, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None and process.stdin is not None
    try:
        address, second = process.stdout.readline().split()
        yield address, second
    finally:
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1200)
