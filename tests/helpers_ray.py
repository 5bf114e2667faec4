"""A real Ray cluster of two small nodes on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_TESTS = Path(__file__).resolve().parent
_SMALL = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}


@contextmanager
def two_nodes() -> Iterator[str]:
    """The address of a cluster of two nodes with one CPU each; RECOLLECT_TEST_NODE tells a worker which it is on."""
    with mortal_nodes() as (address, _):
        yield address


@contextmanager
def mortal_nodes() -> Iterator[tuple[str, Callable[[], None]]]:
    """As `two_nodes`; also gives what kills the second one at once, as a machine that loses its power."""
    from ray.cluster_utils import Cluster

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(_TESTS), *([before] if before else [])])
    try:
        cluster = Cluster()
        _, second = (cluster.add_node(env_vars={"RECOLLECT_TEST_NODE": name}, **_SMALL) for name in ("first", "second"))
        try:
            cluster.wait_for_nodes()
            yield str(cluster.address), lambda: cluster.remove_node(second, allow_graceful=False)
        finally:
            cluster.shutdown()
    finally:
        if before is None:
            os.environ.pop("PYTHONPATH", None)
        else:
            os.environ["PYTHONPATH"] = before
