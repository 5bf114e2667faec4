"""No password of an address in anything that a search prints or writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from helpers_world import EVALUATE, Command, World
from recollect.core.secret_url import SecretUrl, masked, without_secrets
from recollect.errors import InputError
from recollect.experiments.search import SearchSettings
from recollect.experiments.search.storage import open_storage

CANARY = "Kanari3nvogel"

# a password in the address of an SQLite file means nothing to its driver
pytestmark = pytest.mark.filterwarnings("ignore:Query string argument:sqlalchemy.exc.SAWarning")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:PW@host:5432/db", "postgresql://***@host:5432/db"),
        ("postgresql://me:p@ss@host/db", "postgresql://***@host/db"),
        ("postgresql://me:p?x=1&y@host/db?sslmode=require", "postgresql://***"),
        ("sqlite:///x.db?password=PW&timeout=5", "sqlite:///x.db?password=***&timeout=5"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3DPW", "mssql+pyodbc:///?odbc_connect=***"),
        ("sqlite:///x.db?timeout=5#token=PW", "sqlite:///x.db?timeout=***"),
        ("ray://TOKEN@head:10001", "ray://***@head:10001"),
        ("host=h password=PW dbname=x", "host=h password=*** dbname=x"),
        ("10.0.0.1:6379", "10.0.0.1:6379"),
        ("runs/search.journal", "runs/search.journal"),
        ("auto", "auto"),
    ],
)
def test_what_is_shown_of_an_address(url: str, shown: str) -> None:
    assert masked(url) == shown
    assert str(SecretUrl(url)) == f"{SecretUrl(url)}" == shown and shown in repr(SecretUrl(url))
    assert SecretUrl(url).get_secret_value() == url


@given(
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=12),
    st.sampled_from(
        ["postgresql://me:{}@host/db", "x://h/db?password={}", "x://h/db?my_token={}&timeout=3", "ray://{}@h:1"]
    ),
)
def test_no_sign_in_a_password_makes_it_visible(noise: str, form: str) -> None:
    assert CANARY not in masked(form.format(CANARY + noise)) and CANARY not in masked(form.format(noise + CANARY))


def test_a_drivers_message_that_repeats_the_password_is_left_out() -> None:
    url = f"postgresql://me:x%40{CANARY}@host/db"
    assert CANARY not in without_secrets(f"could not translate host name {CANARY}@host", url)
    assert without_secrets("no\n such host", url) == "no such host"


def test_settings_show_the_mask_everywhere() -> None:
    made = SearchSettings.make(
        storage=f"postgresql://me:{CANARY}@host/db", executor="ray", address=f"ray://{CANARY}@h:1"
    )
    for text in (str(made), repr(made), made.model_dump_json(), str(made.model_dump(mode="json"))):
        assert CANARY not in text and "***@" in text
    other = SearchSettings.make(storage="postgresql://me:changed@host/db", executor="ray")
    assert made.fingerprint_values() == other.fingerprint_values(), "a changed password is the same search"


@pytest.mark.parametrize(
    "change",
    [
        {"storage": f"postgresql:/me:{CANARY}@host/db"},
        {"storage": f"host=h password={CANARY}"},
        {"storage": f"postgresql://me:{CANARY}@host/db", "repeats": 2},
        {"storage": f"postgresql://me:{CANARY}@host/db", "trials": 0},
        {"storage": f"postgresql://me:{CANARY}@host/db", "storrage": 1},
        {"address": f"ray://{CANARY}@h:1"},
    ],
)
def test_no_error_text_repeats_it(change: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        SearchSettings.make(**change)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:{}@nowhere/db",
        "nosuchdatabase://me:{}@here",
        "grpc://me:{}@nowhere",
        "sqlite:////no/such/folder/x.db?password={}",
        "postgresql://me:{}@host:port/db",
    ],
)
def test_an_address_that_cannot_be_opened_is_not_repeated(url: str) -> None:
    with pytest.raises(InputError) as caught:
        open_storage(url.format(CANARY))
    assert CANARY not in str(caught.value) and caught.value.__cause__ is None


def test_no_file_and_no_stream_of_a_search_holds_the_password(
    world: World, levels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole command, from the settings line to the report; and again with another password, and refused."""
    monkeypatch.chdir(tmp_path)
    recollect = Command(monkeypatch, capsys)
    config = tmp_path / "search.yaml"
    config.write_text(
        yaml.safe_dump(
            {"model": str(world.model), "facts": str(world.facts), "levels": str(levels), "trials": 2}
            | {"space": {"batch_size": [4, 8]}, "select": {"size": 20, "level": "random"}, "sampler": "random"}
            | {"evaluate": EVALUATE, "train": {"learning_rate": 1e-3}}
        )
    )
    database = tmp_path / "study.db"
    arguments = ("search", "--config", config, "--out", tmp_path / "out", "--json", "--storage")
    for flags in ((f"sqlite:///{database}?password={CANARY}",), (f"sqlite:///{database}?token={CANARY}2",)):
        answer = recollect(*arguments, *flags)
        assert answer.code == 0, answer.err
        assert CANARY not in answer.out + answer.err and "***" in answer.err
    refused = recollect(*arguments, f"sqlite:///{database}?password={CANARY}", "--trials", "0")
    failed = recollect(*arguments[:4], tmp_path / "other", "--storage", f"sqlite:////no/such/x.db?password={CANARY}")
    assert refused.code == failed.code == 2
    assert CANARY not in refused.out + refused.err + failed.out + failed.err
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) > 20 and not [file for file in files if CANARY.encode() in file.read_bytes()]
