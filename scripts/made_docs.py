"""Write docs/settings.md, docs/reference.md and llms.txt: the words of `--help`, docstrings, and heads of pages."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pydantic_core import PydanticUndefined

from recollect.core.settings import Settings
from recollect.steps import STEPS, public_names


def settings_page() -> str:
    """Every setting of every step, as Markdown."""
    lines = [
        "# Settings of every step",
        "",
        "Made by `python scripts/made_docs.py` from the settings classes; a test keeps it current. A setting",
        "`batch_size` is `--batch-size` on the command line and `batch_size:` in a YAML file given with `--config`.",
        "A section such as a study's `train` holds settings of that step: `train: {batch_size: 4}` in the file, and on",
        'the command line `--train.batch-size 4` or `--train "{batch_size: 4}"`.',
        "",
    ]
    for step in STEPS:
        settings = step.settings_class()
        if settings is None:
            continue
        lines += [
            f"## recollect {step.command}",
            "",
            " ".join((settings.__doc__ or "").partition("Examples:")[0].split()),
            "",
        ]
        lines += ["| setting | default | meaning |", "|---|---|---|"]
        for name, info in settings.model_fields.items():
            value = str(info.default) if isinstance(info.default, Path) else info.default
            value = value.given() if isinstance(value, Settings) else value  # a section
            default = "required" if value is PydanticUndefined else repr(value)
            meaning = " ".join((info.description or "").split()).replace("|", "\\|").replace("][", "]\\[")  # no link
            shown = default.replace("|", "\\|")
            extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
            meaning += f" On the command line `{extra['flag']}`." if "flag" in extra else ""
            meaning += " On the command line it stands by itself." if "argument" in extra else ""
            lines.append(f"| `{name}` | `{shown}` | {meaning} |")
        lines.append("")
    return "\n".join(lines)


def reference_page() -> str:
    """Every public name, as Markdown that mkdocstrings fills with signatures and docstrings."""
    lines = [
        "# Reference",
        "",
        "Made by `python scripts/made_docs.py` from the list of steps; a test keeps it current. All names are found in",
        "`recollect` itself: `from recollect import run_probe`. What a settings class takes is in",
        "[settings](settings.md). A site of them all: `pip install -e '.[docs]' && mkdocs build`,",
        "then open `build/site/index.html`.",
        "",
    ]
    for name, place in sorted(public_names().items(), key=lambda entry: (entry[0].lower(), entry[0])):
        lines += [f"## {name}", "", f"::: {place.replace(':', '.')}"]
        if name.endswith("Settings"):  # the page of settings has its fields
            lines += ["    options:", "      members: false"]
        lines.append("")
    return "\n".join(lines)


ROOT = Path(__file__).resolve().parent.parent


def llms_page() -> str:
    """What a language model reads first: what this is, and one line per page (llmstxt.org)."""
    _, summary = paragraphs(ROOT / "docs" / "index.md")
    lines = ["# Recollect", "", f"> {summary}", "", "Commands, `recollect COMMAND --help` for each:", ""]
    lines += [f"- `recollect {step.command}`: {step.line}" for step in STEPS]
    lines += ["", "## Docs", ""]
    pages = [page for folder in ("tutorials", "guides", ".") for page in sorted((ROOT / "docs" / folder).glob("*.md"))]
    for page in pages:
        title, line = paragraphs(page)
        if page.stem != "index":
            lines.append(f"- [{title}]({page.relative_to(ROOT).as_posix()}): {line}")
    return "\n".join([*lines, "", "## For agents", "", "- [AGENTS.md](AGENTS.md): how to use and how to change it", ""])


def paragraphs(page: Path) -> tuple[str, str]:
    """A page's title, and its first paragraph without its links."""
    title, _, rest = page.read_text(encoding="utf-8").partition("\n\n")
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", rest.partition("\n\n")[0])
    return title.removeprefix("# ").strip(), " ".join(text.split())


PAGES = {"docs/settings.md": settings_page, "docs/reference.md": reference_page, "llms.txt": llms_page}

if __name__ == "__main__":
    for name, make in PAGES.items():
        target = ROOT / name
        target.write_text(make(), encoding="utf-8")
        sys.stdout.write(f"{target}\n")
