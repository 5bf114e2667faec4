"""The line that tells how far work is: counts, time so far, time left by the speed of late."""

from __future__ import annotations

import pytest

from recollect.core.progress import Detail, Pace, duration


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (95, "1:35"), (3723, "1:02:03"), (-1, "0:00")]
)
def test_a_duration_is_read_at_a_glance(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_before_anything_is_done_the_line_tells_the_time_alone() -> None:
    clock = Clock()
    pace = Pace("loading", clock=clock)
    clock.now = 17
    assert pace.line() == "loading: 0:17 so far"


def test_parts_found_again_in_no_time_tell_nothing_of_the_time_left() -> None:
    clock = Clock()
    pace = Pace("probing", "prompts", clock=clock)
    for done in range(1, 901):  # a resumed run reads what is finished
        clock.now += 1e-5
        pace(done, 1000)
    for done in range(901, 951):
        clock.now += 2
        pace(done, 1000)
    left = pace.seconds_left()
    assert left is not None and left == pytest.approx(100, rel=0.05)


def test_the_time_left_runs_down_between_two_steps() -> None:
    clock = Clock()
    pace = Pace("training", "updates", clock=clock)
    for done in (1, 2, 3):
        clock.now += 30
        pace(done, 6)
    assert pace.seconds_left() == 90
    clock.now += 20
    assert pace.seconds_left() == 70
    clock.now += 500
    assert pace.seconds_left() == 0


def test_work_made_of_other_work_says_what_is_at_work_and_its_own_time_left() -> None:
    clock = Clock()
    pace = Pace("training and asking", "models", lambda: Detail("random-60: training 3/24 updates", 61.0), clock)
    pace(1, 6)
    clock.now = 30
    assert pace.line() == (
        "training and asking: 1/6 models, 0:30 so far, about 1:01 left; random-60: training 3/24 updates"
    )
