"""Step directories: written beside their final name, resumed part by part, renamed when whole, checked when read.

The life of a step directory `OUT`
1. `OUT.partial/` is made and locked; `step.json` in it holds the step's name, settings, input fingerprints and plan.
2. Each finished batch is one file in `OUT.partial/parts/`, written under another name, fsynced and renamed. Its name
   holds a checksum tied to the step and the batch. A process killed at any moment loses at most the batch it was at.
3. The step writes its tables, then `manifest.json` last, with a checksum of every file; scratch is removed and the
   folder renamed to `OUT`. The lock goes last of all, so that nobody else can take the folder before it has its final
   name.

A second run of the same command finds `OUT` and returns at once; a run with other settings is refused.
Two processes on one step are kept apart by a lock that the system releases when its holder dies.
Links and devices planted in a step's folder are refused; see `open` for what that does not cover.
"""

from recollect.core.workspace.borrow import copy_step, discard, drop_leftovers, lending
from recollect.core.workspace.files import fingerprint, sync_folder, write_atomic, write_json, write_parquet
from recollect.core.workspace.lock import locked
from recollect.core.workspace.manifest import (
    HASH_ALWAYS,
    MANIFEST,
    Manifest,
    check_model_step,
    check_stored,
    is_finished,
    read_manifest,
    step_input,
    update_checksums,
)
from recollect.core.workspace.open import DEFAULT_ROOT, open_step, same_step
from recollect.core.workspace.shared import what_is_shared
from recollect.core.workspace.step import FORMAT, Step

__all__ = [
    "DEFAULT_ROOT",
    "FORMAT",
    "HASH_ALWAYS",
    "MANIFEST",
    "Manifest",
    "Step",
    "check_model_step",
    "check_stored",
    "copy_step",
    "discard",
    "drop_leftovers",
    "fingerprint",
    "is_finished",
    "lending",
    "locked",
    "open_step",
    "read_manifest",
    "same_step",
    "step_input",
    "sync_folder",
    "update_checksums",
    "what_is_shared",
    "write_atomic",
    "write_json",
    "write_parquet",
]
