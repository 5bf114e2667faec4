"""What commands print of a result."""

from __future__ import annotations

import pytest

from recollect.cli.printing import print_pairs


def test_small_numbers_keep_what_counts(capsys: pytest.CaptureFixture[str]) -> None:
    print_pairs("training", {"learning_rate": 1.3e-4, "loss": 2.06581, "none": 0.0, "weights": 134_515_008})
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()[1:]] == [
        "0.00013",
        "2.0658",
        "0.0",
        "134,515,008",
    ]
