"""What an item takes is measured in batches as large as it needs, with a clock that work moves."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from recollect.experiments.plan import calibrate


class Clock:
    """Seconds that only work adds to: so many for a batch, and for each item of it."""

    def __init__(self, batch: float, item: float) -> None:
        self.now, self.batch, self.item = 0.0, batch, item
        self.sizes: list[int] = []

    def perf_counter(self) -> float:
        return self.now

    def work(self, items: Sequence[int]) -> None:
        self.sizes.append(len(items))
        self.now += self.batch + self.item * len(items)


@pytest.mark.parametrize(
    ("batch", "item", "sizes", "each"),
    [
        (0.25, 0.05, [4, 4, 8, 16, 32, 64], 0.25 / 64 + 0.05),  # the last doubling left more than 9/10
        (1.2, 0.01, [4, 4, 8, 16, 32, 64, 128], 1.2 / 200 + 0.01),  # over 8 seconds: what a batch of 200 would take
        (0.0, 0.5, [4, 4, 8], 0.5),  # no less in a larger batch
        (0.0, 1e-4, [4, 4, 200], 1e-4),  # all of them together take no second
        (9.0, 1.0, [4, 4], 9.0 / 4 + 1.0),  # over them at once: nothing tells the batch from its items
    ],
)
def test_seconds_of_an_item_are_those_in_a_real_batch(
    monkeypatch: pytest.MonkeyPatch, batch: float, item: float, sizes: list[int], each: float
) -> None:
    clock = Clock(batch, item)
    monkeypatch.setattr(calibrate, "time", clock)
    found = calibrate._steady(clock.work, range(200))
    assert clock.sizes == sizes
    assert found == pytest.approx(each)
