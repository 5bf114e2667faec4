"""One place says whether memory ran out, in whoever's words."""

from __future__ import annotations

import pytest
import torch

from recollect.errors import ModelError, OutOfMemoryError, input_fault, memory_ran_out

SAID = [
    MemoryError(),
    torch.OutOfMemoryError("full"),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes"),
    RuntimeError("std::bad_alloc"),
]


@pytest.mark.parametrize("error", SAID, ids=str)
def test_memory_that_ran_out_is_known_in_all_words(error: Exception) -> None:
    assert memory_ran_out(error)
    assert isinstance(input_fault(error), OutOfMemoryError)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), ModelError("a worker died (out of memory?)")])
def test_other_errors_are_not(error: Exception) -> None:
    assert not memory_ran_out(error)
