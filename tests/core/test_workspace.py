"""Step directories: resumed after any crash to the same bytes, never mixed up, never shared."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import crashing
from recollect.core.workspace import (
    Step,
    fingerprint,
    open_step,
    read_manifest,
    step_input,
    write_atomic,
    write_parquet,
)
from recollect.core.workspace import (
    open as _open,
)
from recollect.core.workspace import (
    step as _step,
)
from recollect.errors import InputError, RecollectError, StepBusy, StepError

SETTINGS = {"samples": 4}
INPUTS = {"facts": "f"}
TABLE = pl.DataFrame({"n": [1, 2, 3]})


def make(out: Path, settings: dict[str, Any] = SETTINGS, inputs: dict[str, Any] = INPUTS, name: str = "probe") -> Step:
    """A finished step with one table."""
    with open_step(name, settings, inputs, out) as step:
        if not step.done:
            step.write_table("t.parquet", TABLE)
            step.finish({"rows": 3})
    return step


def part_file(step: Step, index: int) -> Path:
    """The file of a part that is there."""
    path = step.part_path(index)
    assert path is not None
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
    }


# -- found again, or refused ----------------------------------------------------------------------------


def test_a_finished_step_is_found_and_not_touched(tmp_path: Path) -> None:
    first = make(tmp_path / "run")
    before = contents(tmp_path)
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        assert step.done
        assert not first.resumed
        assert step.metrics == {"rows": 3}
        assert step.read_table("t.parquet").equals(TABLE)
    assert contents(tmp_path) == before
    assert sorted(before) == ["run/manifest.json", "run/t.parquet"]


def test_without_out_the_name_comes_from_the_fingerprint(tmp_path: Path) -> None:
    names = set()
    for settings, inputs in [
        (SETTINGS, INPUTS),
        ({"samples": 5}, INPUTS),
        (SETTINGS, {"facts": "g"}),
        (SETTINGS, INPUTS),
    ]:
        with open_step("probe", settings, inputs, root=tmp_path) as step:
            if not step.done:
                step.finish()
            names.add(step.path.name)
            assert step.path.name == f"probe-{step.fingerprint[:12]}"
    assert len(names) == 3


@pytest.mark.parametrize("state", ["finished", "partial"])
@pytest.mark.parametrize(
    ("name", "settings", "inputs", "said"),
    [
        ("probe", {"samples": 8}, INPUTS, "setting samples was 4, now 8"),
        ("probe", {"samples": 4, "seed": 1}, INPUTS, "setting seed was None, now 1"),
        ("probe", SETTINGS, {"facts": "g"}, "input facts was 'f', now 'g'"),
        ("train", SETTINGS, INPUTS, "it is a 'probe' step, not a 'train' step"),
    ],
)
def test_other_settings_or_inputs_are_refused_with_what_differs_and_nothing_is_touched(
    tmp_path: Path, state: str, name: str, settings: dict[str, Any], inputs: dict[str, Any], said: str
) -> None:
    out = tmp_path / "run"
    if state == "finished":
        make(out)
    else:
        with open_step("probe", SETTINGS, INPUTS, out) as step:
            step.write_part(0, TABLE)
    before = contents(tmp_path)
    with pytest.raises(StepError) as refusal, open_step(name, settings, inputs, out):
        pytest.fail("opened")
    assert said in str(refusal.value)
    assert "Nothing was changed" in str(refusal.value)
    assert contents(tmp_path) == before


def test_a_step_of_another_format_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "run")
    monkeypatch.setattr(_step, "FORMAT", _step.FORMAT + 1)
    with pytest.raises(StepError, match="another format version"):
        make(tmp_path / "run")


@pytest.mark.parametrize("folder", ["run", "run.partial"])
def test_a_folder_that_is_no_step_is_refused_and_not_touched(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "thesis.txt").write_text("years of work")
    with pytest.raises(StepError, match="exists and is not"):
        make(tmp_path / "run")
    assert (tmp_path / folder / "thesis.txt").read_text() == "years of work"


# -- killed at any moment -------------------------------------------------------------------------------


def tell(folder: Path, *stories: list[int]) -> list[list[dict[str, Any]]]:
    """Run `crashing` and read what it saw."""
    arguments = [",".join(map(str, story)) for story in stories]
    done = subprocess.run(
        [sys.executable, crashing.__file__, str(folder), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_killed_before_any_change_to_the_disk_a_resumed_step_ends_in_the_same_bytes(tmp_path: Path) -> None:
    [[whole]] = tell(tmp_path / "whole", [0])
    assert whole["end"] == "exit 0"
    reference = contents(tmp_path / "whole/0")
    count = len(whole["changes"])
    assert count > 20
    # killed once at every place; then, somewhere else, once more; then left alone
    stories = [[first, 1 + first * 5 % count, 0] for first in range(1, count + 1)]
    for story, (once, twice, last) in zip(stories, tell(tmp_path / "killed", *stories), strict=True):
        assert once["end"] == "killed", story
        assert last["end"] == "exit 0", story
        folder = tmp_path / "killed" / ",".join(map(str, story))
        found = contents(folder)
        assert sorted(found) == ["run/manifest.json", "run/values.parquet"], story
        assert found["run/values.parquet"] == reference["run/values.parquet"], story
        # a part that was whole on disk is never computed again
        for before, after in ((once, twice), (twice, last)):
            kept = {
                int(Path(file).stem[:6])
                for file in before["on_disk"]
                if "/parts/" in file and file.endswith(".parquet")
            }
            assert not kept & set(after["parts"]), story
        # the plan pinned first is the plan of everybody after
        plan = json.loads(found["run/manifest.json"])["plan"]
        plans = [life["plan"] for life in (once, twice, last) if life["plan"]]
        if once["plan"]:
            assert plans == [plan] * len(plans) == [{"batch": 0}] * len(plans), story
        assert plan == plans[-1], story


def test_a_folder_synced_with_half_a_state_file_is_resumed(tmp_path: Path) -> None:
    partial = tmp_path / "run.partial"
    partial.mkdir()
    (partial / ".lock").touch()
    (partial / "step.json.tmp").write_text('{"step": "pro')
    assert make(tmp_path / "run").done
    assert sorted(contents(tmp_path)) == ["run/manifest.json", "run/t.parquet"]


def test_a_half_written_part_is_not_taken_for_a_part(tmp_path: Path) -> None:
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        step.write_part(0, TABLE)
        whole = part_file(step, 0)
        whole.with_name("000001-00.parquet.0a1b2c3d.tmp").write_bytes(whole.read_bytes()[:100])
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        assert step.resumed
        assert step.has_part(0)
        assert not step.has_part(1)
        step.write_part(1, TABLE)
        assert step.read_parts(2).equals(pl.concat([TABLE, TABLE]))


def test_a_step_aborted_between_its_manifest_and_its_rename_is_found_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def abort(self: Step) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Step, "rename", abort)
        with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
            step.pin(batch=7)
            step.write_table("t.parquet", TABLE)
            with pytest.raises(KeyboardInterrupt):
                step.finish({"rows": 3})
    assert not (tmp_path / "run").exists()
    with (
        pytest.raises(StepError, match="samples was 4, now 5"),
        open_step("probe", {"samples": 5}, INPUTS, tmp_path / "run"),
    ):
        pytest.fail("opened")
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        assert step.done
        assert step.metrics == {"rows": 3}
        assert step.plan == {"batch": 7}
    assert sorted(contents(tmp_path)) == ["run/manifest.json", "run/t.parquet"]


@hypothesis_settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=4))
def test_an_exception_at_any_part_leaves_the_finished_ones(failures: list[int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        out, computed = Path(name) / "run", []
        for failing in [*failures, 10]:
            try:
                with open_step("probe", SETTINGS, INPUTS, out) as step:
                    if step.done:
                        continue
                    for index in range(10):
                        if step.has_part(index):
                            continue
                        if index == failing:
                            raise RuntimeError
                        computed.append(index)
                        step.write_part(index, TABLE)
                    step.write_table("t.parquet", step.read_parts(10))
                    step.finish()
            except RuntimeError:
                assert (out.parent / "run.partial").is_dir()
        assert computed == list(range(10))  # each once, whatever failed
        assert pl.read_parquet(out / "t.parquet").height == 30


# -- the plan -------------------------------------------------------------------------------------------


def test_the_pinned_plan_survives_resuming_and_finishing(tmp_path: Path) -> None:
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        assert step.pin(batch=8, threads=2) == {"batch": 8, "threads": 2}
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        assert step.pin(batch=64, threads=16) == {"batch": 8, "threads": 2}
        step.finish()
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        assert step.plan == {"batch": 8, "threads": 2}
    assert read_manifest(tmp_path / "run").plan == {"batch": 8, "threads": 2}


# -- two processes --------------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from recollect.core.workspace import open_step
with open_step("probe", {"samples": 4}, {"facts": "f"}, Path(sys.argv[1])) as step:
    print("working", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_and_the_lock_is_freed_when_its_holder_dies(tmp_path: Path) -> None:
    out = tmp_path / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "working\n"
            before = contents(tmp_path)
            with (
                pytest.raises(StepBusy, match="another process is working in"),
                open_step("probe", SETTINGS, INPUTS, out),
            ):
                pytest.fail("opened")
            assert contents(tmp_path) == before
        finally:
            holder.send_signal(signal.SIGKILL)
    with open_step("probe", SETTINGS, INPUTS, out) as step:
        assert step.resumed
        step.finish()
    assert (out / "manifest.json").is_file()


def test_the_lock_is_freed_by_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_step("probe", SETTINGS, INPUTS, tmp_path / "run"):
        raise ZeroDivisionError
    assert make(tmp_path / "run").resumed


def test_a_lock_that_is_won_after_the_other_process_finished_is_not_worked_under(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = fcntl.flock

    def slow_flock(handle: IO[str], how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", plain)
        make(tmp_path / "run")  # what the other process does between our open and our lock
        plain(handle, how)

    monkeypatch.setattr(fcntl, "flock", slow_flock)
    with (
        pytest.raises(StepError, match="Run the command again"),
        open_step("probe", SETTINGS, INPUTS, tmp_path / "run"),
    ):
        pytest.fail("opened a folder that is no more")
    assert make(tmp_path / "run").done
    assert sorted(contents(tmp_path)) == ["run/manifest.json", "run/t.parquet"]


def test_a_step_finished_between_the_look_and_the_lock_is_found_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = _open._make_folder

    def slow_make(step: Step) -> bool:
        monkeypatch.setattr(_open, "_make_folder", plain)
        make(tmp_path / "run")
        step.folder.mkdir()
        return True

    monkeypatch.setattr(_open, "_make_folder", slow_make)
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        assert step.done
    assert sorted(contents(tmp_path)) == ["run/manifest.json", "run/t.parquet"]
    assert not (tmp_path / "run.partial").exists()


# -- a full disk ----------------------------------------------------------------------------------------


class Full:
    """A file whose disk is full after the first bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def __enter__(self) -> Full:
        return self

    def __exit__(self, *exception: object) -> None:
        self.file.close()

    def write(self, data: bytes) -> int:
        self.file.write(bytes(data)[:10])
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_an_oserror_and_keeps_the_finished_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain: Callable[..., IO[bytes]] = os.fdopen
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        step.write_part(0, TABLE)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdopen", lambda *given: Full(plain(*given)))
            with pytest.raises(OSError, match="No space left") as failure:
                step.write_part(1, TABLE)
        assert failure.value.errno == errno.ENOSPC
        assert not isinstance(failure.value, RecollectError)
        assert list((step.folder / "parts").iterdir()) == [step.part_path(0)]  # room given back
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        assert step.has_part(0)
        assert not step.has_part(1)
        step.write_part(1, TABLE)
        assert step.read_parts(2).height == 6


def test_a_real_limit_on_file_size_is_an_oserror_and_leaves_the_old_file(tmp_path: Path) -> None:
    program = """
import resource, signal, sys
from pathlib import Path
import polars as pl
from recollect.core.workspace import write_parquet
path = Path(sys.argv[1])
write_parquet(path, pl.DataFrame({"n": [1]}))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_parquet(path, pl.DataFrame({"n": pl.Series([i * 7919 % 1000003 for i in range(100000)])}))
except OSError as error:
    print(error.errno)
"""
    path = tmp_path / "t.parquet"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == str(errno.EFBIG)
    assert pl.read_parquet(path)["n"].to_list() == [1]
    assert [file.name for file in tmp_path.iterdir()] == ["t.parquet"]


# -- files ----------------------------------------------------------------------------------------------


def test_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    columns = {
        "text": [f"é{i % 97}" for i in range(5000)],
        "p": [i / 7 for i in range(5000)],
        "none": [None] * 5000,
    }
    write_parquet(tmp_path / "a.parquet", pl.DataFrame(columns))
    chunked = pl.concat([pl.DataFrame(columns)[:1], pl.DataFrame(columns)[1:3000], pl.DataFrame(columns)[3000:]])
    write_parquet(tmp_path / "b.parquet", chunked.rechunk())
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert pl.read_parquet(tmp_path / "a.parquet").equals(pl.DataFrame(columns))


def test_a_failing_write_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, lambda file: file.write(b"old"))

    def fail(file: IO[bytes]) -> None:
        file.write(b"new but half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_atomic(path, fail)
    assert contents(tmp_path) == {"file": b"old"}


# -- where a step may be --------------------------------------------------------------------------------


def test_out_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(StepError, match="exists and is not a step directory"):
        make(tmp_path / "run")
    assert (tmp_path / "run").read_text() == "a file"


def test_out_inside_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(StepError, match="a part of the path is a file"):
        make(tmp_path / "file/run")
    with pytest.raises(StepError, match="a part of the path is a file"):
        make(tmp_path / "file/deep/run")
    assert contents(tmp_path) == {"file": b"a file"}


def test_an_unwritable_place_is_refused() -> None:
    program = """
import os, sys
from pathlib import Path
from recollect.errors import StepError
from recollect.core.workspace import open_step
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)  # root may write anywhere
for name in ("run", "deep/run", "taken"):
    try:
        with open_step("probe", {}, {}, Path(sys.argv[1]) / name):
            print("opened")
    except StepError as error:
        print("no permission" in str(error))
"""
    with tempfile.TemporaryDirectory() as name:  # not tmp_path, whose parents are closed to others
        folder = Path(name)
        (folder / "taken.partial").mkdir(mode=0o555)
        folder.chmod(0o555)
        os.utime(folder)
        done = subprocess.run(
            [sys.executable, "-c", program, name], capture_output=True, text=True, timeout=60, check=True
        )
        folder.chmod(0o755)
        (folder / "taken.partial").chmod(0o755)
    assert done.stdout.split() == ["True"] * 3


@pytest.mark.parametrize("name", ["run.partial", "deep/run.partial", ".partial"])
def test_the_partial_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StepError, match=r"ends in \.partial"):
        make(tmp_path / name)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("name", ["n" * 300, "n" * 252, "a\0b"])
def test_a_name_the_system_does_not_take_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StepError, match="Give --out another"):
        make(tmp_path / name)


def test_a_symlinked_out_is_made_at_the_end_of_the_link_and_found_through_it(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk/run")
    assert make(tmp_path / "link").path == tmp_path / "disk/run"
    assert (tmp_path / "link").is_symlink()
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "link") as step:
        assert step.done
    with pytest.raises(StepError, match="now 5"):
        make(tmp_path / "link", {"samples": 5})


def test_a_symlinked_parent_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    make(tmp_path / "link/run")
    assert sorted(contents(tmp_path / "disk")) == ["run/manifest.json", "run/t.parquet"]


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(StepError):
        make(tmp_path / "a")


def test_dots_in_out_lead_where_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert make(Path("../beside")).path == tmp_path / "beside"
    assert make(Path("new/../plain")).path == tmp_path / "here/plain"
    for taken in (".", "..", "/"):
        with pytest.raises(StepError, match="exists and is not a step directory"):
            make(Path(taken))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["beside", "here"]
    assert [file.name for file in (tmp_path / "here").iterdir()] == ["plain"]


# -- fingerprints and manifests -------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text('aé\n"{'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcé"), inner, max_size=3),
    max_leaves=8,
)


def turned(value: Any) -> Any:
    """The same value with every mapping's keys in the opposite order."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


@given(JSON)
def test_the_fingerprint_does_not_depend_on_key_order(value: Any) -> None:
    assert fingerprint(turned(value)) == fingerprint(value)


@given(JSON, JSON)
def test_different_values_have_different_fingerprints(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (fingerprint(one) == fingerprint(other)) is same


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_have_no_fingerprint(tmp_path: Path, value: float) -> None:
    with pytest.raises(InputError, match="finite"):
        fingerprint({"rate": value})
    with pytest.raises(InputError, match="finite"):
        make(tmp_path / "run", {"rate": value})
    assert contents(tmp_path) == {}


def test_a_folder_without_a_manifest_is_no_finished_step(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"no manifest\.json") as plain:
        read_manifest(tmp_path)
    assert "unfinished" not in str(plain.value)
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run"):
        pass
    with pytest.raises(StepError, match="It is unfinished: run its command again"):
        read_manifest(tmp_path / "run")


@pytest.mark.parametrize("text", ["{", "[]", '"step"', '{"name": "my-app"}', "\xff", ""])
def test_a_manifest_that_is_not_ours_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/manifest.json").write_bytes(text.encode("latin-1"))
    for attempt in (lambda: read_manifest(tmp_path / "run"), lambda: make(tmp_path / "run")):
        with pytest.raises(StepError, match=r"manifest\.json"):
            attempt()
    with pytest.raises(StepError, match=r"manifest\.json"):
        step_input(tmp_path / "run", "probe")
    assert contents(tmp_path) == {"run/manifest.json": text.encode("latin-1")}


def test_a_damaged_state_file_is_refused(tmp_path: Path) -> None:
    with open_step("probe", SETTINGS, INPUTS, tmp_path / "run") as step:
        step.write_part(0, TABLE)
    (tmp_path / "run.partial/step.json").write_text('{"step": "probe"}')
    with pytest.raises(StepError, match=r"step\.json"):
        make(tmp_path / "run")
    assert len(list((tmp_path / "run.partial/parts").glob("000000-*.parquet"))) == 1


def test_a_step_of_the_wrong_kind_or_place_is_no_input(tmp_path: Path) -> None:
    make(tmp_path / "run")
    assert step_input(tmp_path / "run", "probe").metrics == {"rows": 3}
    with pytest.raises(InputError, match="'probe' step directory, but a 'facts' one"):
        step_input(tmp_path / "run", "facts")
    with pytest.raises(InputError, match="no such step directory"):
        step_input(tmp_path / "none", "probe")


def test_the_manifest_holds_what_made_the_step(tmp_path: Path) -> None:
    step = make(tmp_path / "run")
    manifest = read_manifest(tmp_path / "run")
    assert (manifest.step, manifest.settings, manifest.inputs) == ("probe", SETTINGS, INPUTS)
    assert (manifest.metrics, manifest.plan) == ({"rows": 3}, {})
    assert manifest.fingerprint == step.fingerprint
    assert manifest.started <= manifest.finished
    assert manifest.versions["polars"] == pl.__version__
