"""For every test: no hub, and one torch thread.

The kill tests fork, and a fork does not take OpenMP's threads along: with more than one the child would wait for ever.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
