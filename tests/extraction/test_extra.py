"""Without the extra `pages` everything that meets no page works, and what does names the extra in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MODULES = (
    *("babel", "charset_normalizer", "extruct", "json_repair", "jstyleson", "lxml", "price_parser", "stdnum", "w3lib"),
    "warcio",
)
BLOCKED = f"import sys; sys.modules.update(dict.fromkeys({MODULES!r}))\n"
COMMAND = BLOCKED + "from recollect.cli.main import main; main()"
LINE = "which is not installed: pip install 'recollect[pages]'"


def without_extra(code: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """Values and page examples, as somebody with the extra made them."""
    (tmp_path / "values.json").write_text('{"p": {"brand": "x"}}')
    (tmp_path / "pages.jsonl").write_text(
        '{"subject": "p", "relation": "shop", "object": "{\\"brand\\":\\"x\\"}", "question": "page", "split": "test"}\n'
    )
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        "pages --path x",
        "label --pages x --from schema.org",
        "score --predictions values.json --truth values.json",
        "evaluate --model pocket --facts pages.jsonl",
        "pocket shop",
    ],
)
def test_a_command_about_pages_names_the_extra_in_one_line(command: str, pages: Path) -> None:
    done = without_extra(COMMAND, *command.split(), folder=pages)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode == 2 and len(errors) == 1 and errors[0].endswith(LINE), done.stderr
    assert "Traceback" not in done.stderr and not (pages / "recollect-runs").exists()


CORE = """
import recollect, recollect.report, recollect.evaluate, recollect.experiments.study, recollect.experiments.curve
import recollect.facts, recollect.probe, recollect.train, recollect.extraction.html, recollect.extraction.labels
from recollect.evaluate import EvaluateSettings, run_evaluate
found = run_evaluate(EvaluateSettings.make(model="pocket", facts="pocket", limit=3, max_new_tokens=2)).found
assert found.pages is None and found.accuracy["test"].n == 3
from recollect.errors import MissingExtra
from recollect.extraction.html import page_prompt
from recollect.extraction.labels import schema_org_values
from recollect.extraction.values import equal, parse_answer, read_schema
schema = read_schema()
assert parse_answer('{"brand":"x"}') == {"brand": "x"} and equal(schema.attribute("brand"), "X", "x")
for call in (
    lambda: page_prompt("<p>x"),
    lambda: schema_org_values("<p>x", schema),
    lambda: equal(schema.attribute("price"), "1", "1"),
    lambda: equal(schema.attribute("gtin"), "4006381333931", "4006381333931"),
    lambda: parse_answer('{"brand":', "repaired"),
):
    try:
        call()
    except MissingExtra as error:
        assert str(error).endswith("pip install 'recollect[pages]'")
    else:
        raise AssertionError(call)
print("fine")
"""


def test_facts_are_evaluated_and_the_functions_name_the_extra(tmp_path: Path) -> None:
    done = without_extra(BLOCKED + CORE, folder=tmp_path)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "fine", done.stderr
