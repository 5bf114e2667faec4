"""A journal that was cut, garbled or ran into a full disk: the search ends as if nothing had happened, or one line."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from helpers_schedule import drive, make
from recollect.errors import InputError, StepError
from recollect.experiments.search import Plan, Trial
from recollect.experiments.search.journal import CheckedJournal, held, repair
from recollect.experiments.search.prepare import check_place
from recollect.experiments.search.storage import open_storage, quiet

PLAN = Plan(trials=7, sampler="random")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Trial]:
    """The trials of a whole search."""
    return finish(tmp_path_factory.mktemp("whole") / "ledger.journal")[0]


def finish(path: Path) -> tuple[list[Trial], str]:
    """Run the search of this journal to its end: its trials, and what was said of a repair."""
    with make(PLAN, path) as scheduler:
        drive(scheduler)
        return scheduler.trials, scheduler.repaired


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A whole search's journal of its own."""
    finish(tmp_path / "ledger.journal")
    return tmp_path / "ledger.journal"


def test_every_line_is_checked_and_optuna_reads_it_as_its_own(journal: Path) -> None:
    assert all(b',"crc":"' in line for line in journal.read_bytes().splitlines())
    assert repair(journal) is None
    backend = optuna.storages.journal.JournalFileBackend(str(journal))
    with quiet():
        study = optuna.load_study(study_name="recollect", storage=optuna.storages.JournalStorage(backend))
    assert len(study.trials) == PLAN.trials


def test_a_tail_cut_anywhere_is_cut_off_and_decided_again(journal: Path, undisturbed: list[Trial]) -> None:
    whole, draw = journal.read_bytes(), random.Random(0)
    for size in [len(whole) - 1, len(whole) - 30, 12, *(draw.randrange(1, len(whole)) for _ in range(6))]:
        journal.write_bytes(whole[:size])
        trials, said = finish(journal)
        assert trials == undisturbed, f"cut to {size} bytes"
        clean = whole[:size].endswith(b"\n")
        assert said == "" if clean else "last line was cut short" in said and "\n" not in said
    for copy in journal.parent.glob("*.cut-*"):
        assert copy.read_bytes() in whole


@pytest.mark.parametrize(
    "garbage", [b"garbage\n", b"\0" * 40, b'{"op_code":8}\n', b"[1]\n", b'{"op_code":8,"wor', b"\xff\n"]
)
def test_a_garbled_last_line_is_cut_off(journal: Path, undisturbed: list[Trial], garbage: bytes) -> None:
    with journal.open("ab") as file:
        file.write(garbage)
    trials, said = finish(journal)
    assert trials == undisturbed and "last line" in said
    assert journal.with_name("ledger.journal.cut-1").read_bytes() == garbage
    assert finish(journal) == (undisturbed, ""), "it is repaired once"


def test_a_flipped_bit_anywhere_never_gives_another_search(journal: Path, undisturbed: list[Trial]) -> None:
    """Digits of scores too, which would still be JSON."""
    whole, draw = journal.read_bytes(), random.Random(1)
    digits = [at for at, byte in enumerate(whole) if 48 <= byte < 58 and b"score_20" in whole[at - 40 : at]]
    places = [0, 5, *draw.sample(digits, 4), *(draw.randrange(len(whole)) for _ in range(7))]
    silent = []
    for at in places:
        flipped = bytearray(whole)
        flipped[at] ^= 1 << draw.randrange(7)
        journal.write_bytes(bytes(flipped))
        trials, said = finish(journal)
        assert trials == undisturbed, f"byte {at}"
        assert "\n" not in said
        silent += [at] * ("garbled" not in said)
    checks = [range(*found.span()) for found in re.finditer(rb',"crc":"[0-9a-f]{8}"\}', whole)]
    assert all(any(at in check for check in checks) for at in silent), "only a flip in a checksum changes nothing"


def test_an_append_glued_to_a_torn_line_is_cut_off(journal: Path, undisturbed: list[Trial]) -> None:
    """As searches before left it: half a line of a full disk, and the next record behind it."""
    lines = journal.read_bytes().splitlines(keepends=True)
    middle = len(lines) // 2
    journal.write_bytes(b"".join(lines[:middle]) + lines[middle][:-30] + lines[-2] + lines[-1])
    trials, said = finish(journal)
    assert trials == undisturbed and f"Line {middle + 1} of the ledger" in said


def test_a_journal_of_before_has_no_checksums_and_is_read(journal: Path, undisturbed: list[Trial]) -> None:
    old = [json.loads(line) for line in journal.read_bytes().splitlines()]
    text = "".join(json.dumps({k: v for k, v in one.items() if k != "crc"}) + "\n" for one in old)
    journal.write_text(text)
    assert finish(journal) == (undisturbed, "")
    journal.write_text(text[:-30])
    assert finish(journal)[0] == undisturbed


def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("my notes\nof the week\n")
    with pytest.raises(StepError, match="is not a journal of a search"):
        make(PLAN, file)
    assert file.read_text() == "my notes\nof the week\n"


def test_a_garbled_journal_of_several_studies_is_not_cut(journal: Path) -> None:
    with quiet():
        optuna.create_study(storage=open_storage(journal), study_name="another")
    data = journal.read_bytes()
    journal.write_bytes(b"X" + data[1:])
    with pytest.raises(StepError, match="line 1 .* several studies"):
        make(PLAN, journal)
    assert journal.read_bytes() == b"X" + data[1:]


def test_a_record_without_its_fields_is_one_line(journal: Path) -> None:
    """Whole JSON of the right kind, but Optuna cannot use it."""
    with journal.open("ab") as file:
        file.write(b'{"op_code":4,"worker_id":"x"}\n')
    with pytest.raises(StepError, match="Move it away and run the command again"):
        finish(journal)


def test_a_full_disk_leaves_whole_lines_and_the_search_resumes(tmp_path: Path, undisturbed: list[Trial]) -> None:
    """The limit on a file's size is a disk that is full in the middle of a line."""
    code = (
        "import resource, sys; from pathlib import Path; from helpers_schedule import drive, make; "
        "from recollect.experiments.search import Plan; "
        "from recollect.experiments.search.journal import CheckedJournal, repair\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)\n"
        "try:\n    drive(make(Plan(trials=7, sampler='random'), Path(sys.argv[1])))\n"
        "except OSError as error:\n    print('full', repair(Path(sys.argv[1])))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    for size in (4_000, 8_192):
        path = tmp_path / f"{size}.journal"
        arguments = [sys.executable, "-c", code, str(path), str(size)]
        ran = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert ran.stdout == "full None\n", ran.stderr
        assert 0 < path.stat().st_size < size
        assert finish(path) == (undisturbed, "")


def test_what_the_disk_did_not_take_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.journal"
    backend = CheckedJournal(path)
    backend.append_logs([{"op_code": 0, "worker_id": "a"}])
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        backend.append_logs([{"op_code": 1, "worker_id": "b"}])
    assert path.read_bytes() == before


def test_the_undisturbed_search_has_something_to_lose(undisturbed: list[Trial]) -> None:
    """Else the tests above could not fail."""
    finals = [trial.scores.get(1) for trial in undisturbed]
    assert len({*finals}) > 3 and None in finals


@pytest.mark.parametrize("kind", ["a pipe or a device", "a link to a device", "a folder"])
def test_a_journal_that_is_no_file_is_refused_before_it_is_read(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "ledger.journal"
    if kind == "a folder":
        place.mkdir()
    elif kind == "a link to a device":
        place.symlink_to("/dev/zero")
    else:
        os.mkfifo(place)
    for refuses in (check_place, repair):
        with pytest.raises(InputError, match="storage must be the path of a journal file") as error:
            refuses(place)
        assert str(place) in str(error.value)


def test_a_link_for_the_lock_beside_a_journal_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "ledger.journal.search-lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StepError, match="is a link"), held(tmp_path / "ledger.journal"):
        pass
    assert not (tmp_path / "elsewhere").exists()
