"""The flags of sections: `--train.learning-rate 3e-4`, grouped in the help, beside the section as YAML text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from recollect.cli.options import answer, command
from recollect.core.json_object import JsonObject
from recollect.core.settings import Fixed, Settings
from recollect.errors import InputError


class Inner(Settings):
    """Another step's settings."""

    model: str = "none"
    """Which model."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-5
    """Highest learning rate."""
    steps: int | None = None
    """Updates to make."""
    mixed: bool = True
    """Mixed precision."""


class Outer(Settings):
    """A step around it."""

    name: str = "it"
    """What it is called."""
    inner_step: Annotated[Inner, Fixed("model")] = Inner(steps=7)
    """Settings of the inner step, except model."""


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer(rich_markup_mode=None)

    def run(settings: Outer, out: Path | None, as_json: bool) -> None:
        answer(settings.inner_step.given(), as_json)

    command(made, "outer", Outer, run)
    return made


def call(app: typer.Typer, *words: str) -> Any:
    return CliRunner().invoke(app, [*words])


def test_the_help_lists_each_section_below_the_options_with_docstring_and_default(app: typer.Typer) -> None:
    own, _, section = call(app, "--help-all").output.partition("Settings of the section inner-step:")
    assert "--name" in own and "--inner-step " in own and "--inner-step." not in own
    lines = " ".join(section.split())
    assert "--inner-step.learning-rate " in lines and "Highest learning rate. [default: 1e-05]" in lines
    assert "Updates to make. [default: 7]" in lines
    assert "--inner-step.mixed / --inner-step.no-mixed" in lines
    assert "--inner-step.model" not in lines, "the step sets it itself"


def test_the_short_help_names_the_sections_alone(app: typer.Typer) -> None:
    text = " ".join(call(app, "--help").output.split())
    assert "--name" in text and "--inner-step.NAME: one setting each, 3 in all; --help-all" in text
    assert "Highest learning rate" not in text


def test_what_is_used_most_comes_first_and_whole_and_the_rest_in_a_sentence() -> None:
    made = typer.Typer(rich_markup_mode=None)
    command(made, "several", Several, lambda settings, **_: None, first=("--ways",))
    first, _, rest = call(made, "--help").output.partition("More options:")
    assert "The ways. And more of them." in first and "--last" not in first
    assert "It ends." in rest and "Later." not in rest and "[default: 3]" in rest
    assert "Later." in call(made, "--help-all").output


def test_single_flags_go_over_the_section_as_text(app: typer.Typer) -> None:
    words = ["--inner-step", "{learning_rate: 1e-3, steps: 2}", "--inner-step.steps", "5", "--inner-step.no-mixed"]
    done = call(app, *words, "--json")
    assert json.loads(done.stdout.splitlines()[-1]) == {"learning_rate": 1e-3, "steps": 5, "mixed": False}
    assert "inner_step.steps=5 (flag)" in " ".join(done.output.split())
    assert json.loads(call(app, "--json").stdout.splitlines()[-1]) == {"steps": 7}


def test_a_file_gives_a_section_and_flags_go_over_it(app: typer.Typer, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("inner_step: {learning_rate: 1e-3, steps: 2}\n", encoding="utf-8")
    done = call(app, "--config", str(file), "--inner-step.steps", "5", "--json")
    assert json.loads(done.stdout.splitlines()[-1]) == {"learning_rate": 1e-3, "steps": 5}
    said = " ".join(done.output.split())
    assert "inner_step.learning_rate=0.001 (file), inner_step.steps=5 (flag), 1 by default" in said


class Several(Settings):
    """A step over several ways."""

    ways: tuple[str | JsonObject, ...] = ()
    """The ways. And more of them."""
    last: int = 3
    """It ends. Later."""
    inner_step: Annotated[Inner, Fixed("model")] = Inner()
    """Settings of the inner step."""


def test_the_settings_line_writes_mappings_as_a_file_does(tmp_path: Path) -> None:
    made = typer.Typer(rich_markup_mode=None)
    command(made, "several", Several, lambda settings, out, as_json: answer({}, as_json))
    file = tmp_path / "s.yaml"
    way = "{name: lora, train: {rate: 0.003, sizes: [1, 2], mixed: true, seed: null}}"
    file.write_text(f"ways: [full, {way}]\n", encoding="utf-8")
    assert f"settings: ways=full,{way} (file)" in " ".join(call(made, "--config", str(file)).output.split())


def test_what_the_step_sets_itself_is_refused(app: typer.Typer) -> None:
    assert call(app, "--inner-step.model", "x").exit_code == 2
    error = call(app, "--inner-step", "{model: x}").exception
    assert isinstance(error, InputError)
    assert "inner_step must not set model: the outer's own is used" in str(error)
