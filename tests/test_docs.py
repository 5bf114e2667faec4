"""The pages keep step with the code: settings, links, and no trace of the machine they were written on."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers_script import ROOT, load_script
from recollect.cli.main import main
from recollect.core.settings import read_yaml
from recollect.experiments.study import StudySettings
from recollect.experiments.study.grid import grid_parts
from recollect.experiments.study.settings import StudyParts
from recollect.facts import load_facts

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
_LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?[^)]*\)")
_HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_MADE = re.compile(r"<!-- made: ([\w-]+) -->\n```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(  # with a flag
    r"(?:^|[\s`])recollect +(pocket build|pocket shop|models get|models list|[a-z]+) +([^`\n&]*--[^`\n&]*)",
    re.MULTILINE,
)
# spelt in pieces, so that this file does not hold what it looks for
_MACHINE_PATHS = [f"/{name}/" for name in ("work", "root", "home", "Users")] + ["/tmp/" + "venv", "shared/" + "design"]
_KEPT = ("src", "tests", "docs", "examples", "scripts", "benchmarks")


def made_pages() -> dict[str, Callable[[], str]]:
    """The pages that a script makes, each with its maker."""
    pages: dict[str, Callable[[], str]] = load_script("scripts/made_docs.py").PAGES
    return pages


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get on GitHub."""
    headings = _HEADING.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", ["docs/settings.md", "docs/reference.md", "llms.txt"])
def test_a_made_page_is_the_one_its_script_makes(name: str) -> None:
    written = (ROOT / name).read_text(encoding="utf-8")
    assert written == made_pages()[name](), "run: python scripts/made_docs.py"


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr
    reference = (tmp_path / "site" / "reference" / "index.html").read_text(encoding="utf-8")
    assert "Grade the facts" in reference


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    for link in _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name} links to {link}, which is not there"
        assert target.is_relative_to(ROOT), f"{page.name} links to {link}, outside the project"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page.name} links to {link}, but {target.name} has no such heading"


def test_every_command_on_a_page_exists_with_its_flags(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = [
        (page, *match) for page in (*PAGES, *EXAMPLES) for match in _COMMAND.findall(page.read_text(encoding="utf-8"))
    ]
    assert len(shown) > 10
    for page, name, rest in shown:
        monkeypatch.setattr("sys.argv", ["recollect", *name.split(), "--help"])
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code, f"{page.name} shows recollect {name}"
        known = capsys.readouterr().out
        if named := re.search(r"examples/[\w.]+", rest):
            assert (ROOT / named[0]).is_file(), f"{page.name} shows {named[0]}, which is not there"
        for flag in re.findall(r"(?<!\S)--[a-z][a-z-]*", rest.partition(" #")[0]):
            assert re.search(rf"{flag}(?![a-z-])", known), f"{page.name}: recollect {name} has no {flag}"


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_is_a_study_that_could_start(file: Path) -> None:
    settings, _ = StudySettings.resolve(file=read_yaml(file))
    studies = [part.settings for part in grid_parts(settings)] if settings.is_grid else [settings]
    for study in studies:
        StudyParts.of(study)
    assert "recollect study " in file.read_text(encoding="utf-8")


def test_every_made_block_holds_what_a_command_said() -> None:
    blocks = [(page.name, *found) for page in PAGES for found in _MADE.findall(page.read_text(encoding="utf-8"))]
    assert {"plan", "end", "ask", "stop", "readme"} <= {name for _, name, _ in blocks}
    for page, name, text in blocks:
        assert text.strip(), f"{page}: {name} is empty; run python scripts/tutorial.py"


def test_the_questions_of_the_tutorial_are_300_and_the_pockets() -> None:
    asked = load_facts(ROOT / "examples" / "questions.csv")
    known = {fact.question: fact.object for fact in load_facts("pocket")}
    assert len(asked) == 300
    assert all(known[fact.question] == fact.object for fact in asked)


def test_no_file_holds_a_path_of_the_machine_it_was_made_on() -> None:
    files = [path for path in ROOT.iterdir() if path.is_file() and path.name not in (".gitignore", ".git")]
    for folder in _KEPT:
        files += [path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert len(files) > 100
    for path in files:
        data = path.read_bytes()
        found = [text for text in _MACHINE_PATHS if text.encode() in data]
        assert not found, f"{path.relative_to(ROOT)} holds {found[0]}"
