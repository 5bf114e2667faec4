"""What is added to vLLM's worker, in its own process: its randomness can be set anew."""

from __future__ import annotations


class Reseeded:
    """Mixed into vLLM's worker class (its `worker_extension_cls`)."""

    def recollect_reseed(self, seed: int) -> None:
        """Set every generator that vLLM draws from; `seed` from 0 to 2^32 - 1."""
        import random

        import numpy as np
        import torch

        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
