"""What is added to vLLM's worker, in its own process: its randomness can be set anew, and it ends when we do.

vLLM's processes outlive one that is killed, and would keep a GPU's memory.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress

_EVERY = 1.0  # seconds


class Added:
    """Mixed into vLLM's worker class (its `worker_extension_cls`)."""

    def recollect_reseed(self, seed: int) -> None:
        """Set every generator that vLLM draws from; `seed` from 0 to 2^32 - 1."""
        import random

        import numpy as np
        import torch

        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)

    def recollect_follow(self, pid: int) -> None:
        """From now on this process, and the one of vLLM that started it, end when the process `pid` has ended."""
        if pid == os.getpid():  # vLLM was told by its own variable to run in our process
            return
        threading.Thread(target=_follow, args=(pid, os.getppid()), daemon=True).start()


def _follow(pid: int, started_by: int) -> None:
    import psutil

    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(_EVERY)
    if started_by not in (pid, 1):
        with suppress(ProcessLookupError):
            os.kill(started_by, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
