"""A secret in anything that may be a URL is in no file, no output and no error line of any command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from recollect.cli import main as cli
from recollect.core.redact import hide_secrets

SECRET = "SECRETpw7f3e9b21"
URLS = (
    f"https://me:{SECRET}@host.example/x.csv",
    f"https://host.example/x.csv?token={SECRET}",
    f"https://{SECRET}@host.example/x",
    f"postgresql://u:{SECRET}@host.example/db",
)
LABEL = ["label", "--pages", "pages", "--from", "llm", "--llm", "m", "--price-in", "0", "--price-out", "0"]
COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "facts": lambda url: ["facts", "--path", url],
    "facts of": lambda url: ["probe", "--facts", url],
    "model": lambda url: ["probe", "--model", url],
    "templates": lambda url: ["probe", "--template-file", url],
    "slick": lambda url: ["slick", "--model", url],
    "hidden": lambda url: ["hidden", "--levels", url],
    "select": lambda url: ["select", "--levels", url],
    "train": lambda url: ["train", "--selection", url],
    "trained": lambda url: ["train", "--selection", "none", "--model", url],
    "evaluate": lambda url: ["evaluate", "--levels", url],
    "pages": lambda url: ["pages", "--path", url],
    "labelled": lambda url: ["label", "--pages", url, "--from", "schema.org"],
    "endpoint": lambda url: [*LABEL, "--endpoint", url],
    "table": lambda url: ["label", "--pages", "pages", "--from", "table", "--table", url],
    "curve": lambda url: ["curve", "--scores", url],
    "section": lambda url: ["curve", "--train", f"{{model: '{url}'}}"],
    "study": lambda url: ["study", "--facts", url],
    "study's probe": lambda url: ["study", "--probe", f"{{template_file: '{url}'}}"],
    "search": lambda url: ["search", "--levels", url],
    "storage": lambda url: ["search", "--storage", url, "--facts", "none"],
    "space": lambda url: ["search", "--space", url],
    "drift": lambda url: ["drift", "pocket", url],
    "drift's text": lambda url: ["drift", "pocket", "pocket", "--text", url],
    "restore": lambda url: ["restore", url, "pocket", "--percent", "20"],
    "config": lambda url: ["train", "--config", url, "--selection", "x"],
    "report": lambda url: ["report", url],
    "rescore": lambda url: ["rescore", url],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_secret_in_a_url_is_nowhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for url in URLS:
        out = [] if name in ("report", "rescore") else ["--out", "made"]
        monkeypatch.setattr("sys.argv", ["recollect", *COMMANDS[name](url), *out])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code not in (0, None)
        said = capfd.readouterr()
        assert SECRET not in said.out + said.err, url
        assert "Traceback" not in said.err
        assert not any(SECRET.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


@pytest.mark.parametrize("url", URLS)
def test_a_url_that_was_taken_for_a_path_is_masked_too(url: str) -> None:
    """A path has one slash where the URL had two."""
    assert SECRET not in hide_secrets(f"no such file: {Path(url)}.")


@pytest.mark.parametrize(
    "text", ["C:/data/x.csv", "http://localhost:8000/v1", "https:/host:8080/x", "a: b@c", "12:/30"]
)
def test_what_holds_no_secret_is_left_as_it_is(text: str) -> None:
    assert hide_secrets(text) == text
