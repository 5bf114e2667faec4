"""The processes of one training: how many there are, what they need, and what the first one tells the others.

The batch of an update is the same whatever their number, and the loss is the mean over all its tokens, not over the
processes. So they change a result by rounding alone (with dropout also by other draws), and are part of no fingerprint.
"""

from __future__ import annotations

import os
from multiprocessing import current_process
from typing import Any

from recollect.errors import InputError
from recollect.train.settings import TrainSettings


def started() -> int:
    """How many processes a launcher started, this one among them; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def first() -> bool:
    """Whether this process is the first of them, which alone writes."""
    return os.environ.get("RANK", "0") == "0"


def processes_of(settings: TrainSettings) -> int:
    """The number of processes of a training. Raises InputError for a batch that cannot be shared out among them."""
    there = started()
    if there > 1 and settings.processes not in (1, there):
        raise InputError(
            f"processes is {settings.processes}, but a launcher started {there} already. Leave --processes out."
        )
    if there == 1 and settings.max_steps == 0:
        return 1
    count = max(there, settings.processes)
    pieces = settings.gradient_accumulation * count
    if settings.batch_size % pieces:
        raise InputError(
            f"batch_size must be a multiple of gradient_accumulation x processes = {pieces}, "
            f"but got batch_size={settings.batch_size}."
        )
    return count


def check_room(count: int, device: str) -> None:
    """Raise InputError where this process cannot start so many on the device."""
    import torch

    if current_process().daemon:
        raise InputError(
            f"processes is {count}, but this training runs in a worker of --executor processes, which starts none of "
            "its own. Take --executor here."
        )
    there = torch.cuda.device_count() if device.startswith("cuda") else 1 if device == "mps" else count
    if count > there:
        raise InputError(
            f"processes is {count}, one for each GPU, but {there} {'is' if there == 1 else 'are'} to be seen here "
            f"(device {device}). Take --processes {there}, or --device cpu; with --executor ray, give each training "
            f"as many with --gpus-per-training {count}."
        )


def tell(processes: int, message: list[Any]) -> list[Any]:
    """Send the first process's message to all; with one process, nothing happens."""
    if processes > 1:
        import torch
        from accelerate import PartialState
        from accelerate.utils import broadcast_object_list

        PartialState(cpu=not torch.cuda.is_available())
        broadcast_object_list(message)
    return message
