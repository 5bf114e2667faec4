"""Write docs/settings.md from the settings classes: the same words as `--help` and the YAML schema."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic_core import PydanticUndefined

from recollect.core.settings import Settings
from recollect.steps import STEPS


def page() -> str:
    """The whole page as Markdown."""
    lines = [
        "# Settings of every step",
        "",
        "Made by `python scripts/settings_docs.py` from the settings classes; a test keeps it current. A setting",
        "`batch_size` is `--batch-size` on the command line and `batch_size:` in a YAML file given with `--config`.",
        "A section such as a study's `train` holds settings of that step: `train: {batch_size: 4}` in the file, and on the",
        'command line `--train.batch-size 4` or `--train "{batch_size: 4}"`.',
        "",
    ]
    for step in STEPS:
        settings = step.settings_class()
        if settings is None:
            continue
        lines += [f"## recollect {step.command}", "", " ".join((settings.__doc__ or "").split()), ""]
        lines += ["| setting | default | meaning |", "|---|---|---|"]
        for name, info in settings.model_fields.items():
            value = str(info.default) if isinstance(info.default, Path) else info.default
            value = value.given() if isinstance(value, Settings) else value  # a section
            default = "required" if value is PydanticUndefined else repr(value)
            meaning = " ".join((info.description or "").split()).replace("|", "\\|")
            shown = default.replace("|", "\\|")
            extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
            meaning += f" On the command line `{extra['flag']}`." if "flag" in extra else ""
            lines.append(f"| `{name}` | `{shown}` | {meaning} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    target = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
    target.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{target}\n")
