"""How the rows of an update are shared out among processes: all of them, each once."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import BatchSampler, Sampler


class EvenBatches(BatchSampler):
    """Batches in as many as every process takes one of; the last ones are filled up with a blank row, which has no
    tokens to learn. accelerate would fill them up with the first rows once more, and those would count twice.

    Examples:
        >>> list(EvenBatches(range(5), size=2, processes=2, blank=9))
        [[0, 1], [2, 3], [4, 9], [9, 9]]
    """

    def __init__(self, sampler: Sampler[int] | range, size: int, processes: int, blank: int) -> None:
        super().__init__(sampler, size, drop_last=False)
        self.processes, self.blank = processes, blank

    def __len__(self) -> int:
        rows = len(self.sampler)  # type: ignore[arg-type]  # a sampler of known length
        return -(-rows // (self.batch_size * self.processes)) * self.processes

    def __iter__(self) -> Iterator[list[int]]:
        rows = list(self.sampler)
        rows += [self.blank] * (-len(rows) % (self.batch_size * self.processes))
        for start in range(0, len(rows), self.batch_size):
            yield rows[start : start + self.batch_size]
