"""A real Ray cluster of two small nodes on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TESTS = Path(__file__).resolve().parent
_SMALL = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}


@contextmanager
def two_nodes() -> Iterator[str]:
    """The address of a cluster of two nodes with one CPU each; RECOLLECT_TEST_NODE tells a worker which it is on."""
    from ray.cluster_utils import Cluster

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(_TESTS), *([before] if before else [])])
    try:
        cluster = Cluster()
        for name in ("first", "second"):
            cluster.add_node(env_vars={"RECOLLECT_TEST_NODE": name}, **_SMALL)
        try:
            cluster.wait_for_nodes()
            yield str(cluster.address)
        finally:
            cluster.shutdown()
    finally:
        if before is None:
            os.environ.pop("PYTHONPATH", None)
        else:
            os.environ["PYTHONPATH"] = before
