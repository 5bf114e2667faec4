"""A missing optional package is one line that says how to get it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recollect.core.extras import check_installed, need
from recollect.errors import MissingExtra


def test_a_module_that_is_there_is_given() -> None:
    assert need("json", "pages") is json


def test_a_missing_package_names_the_command_and_the_extra() -> None:
    with pytest.raises(MissingExtra) as error:
        need("nowhere.html", "pages")
    assert str(error.value) == "recollect pages needs nowhere, which is not installed: pip install 'recollect[pages]'"
    assert error.value.exit_code == 2
    with pytest.raises(MissingExtra, match=r"^recollect pages needs nowhere, which is not installed"):
        check_installed("nowhere", "pages")
    with pytest.raises(MissingExtra, match=r"^an LLM as labeller needs nowhere, .* 'recollect\[llm\]'$"):
        need("nowhere", "llm", "an LLM as labeller")


def test_a_package_that_lacks_one_of_its_own_says_so_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package_here.py").write_text("import nowhere_at_all", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
        need("broken_package_here", "pages")
