"""From a settings class to a command: its fields become options, their docstrings the help."""

from __future__ import annotations

import inspect
import json
import operator
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rich.console import Console, RenderableType
from rich.constrain import Constrain
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column, Table
from rich.text import Text

from recollect.cli.heartbeat import Heartbeat
from recollect.cli.help import HelpAll, help_command
from recollect.core.machine import Machine
from recollect.core.phases import start_up_line
from recollect.core.progress import Detail, Pace, counted, duration, is_share
from recollect.core.redact import hide_secrets
from recollect.core.said import Now, keep_line, keep_now, me
from recollect.core.settings import Settings, read_yaml
from recollect.errors import InputError, reading

# no markup: paths and values may hold [brackets] and :colons:
_WIDEST = 10_000  # columns of a table that is printed to a file or a pipe
FAILED = 7
"""Exit code where something failed, or would, and the rest did not."""
_TERMINAL = Console(stderr=True).is_terminal or None  # said once: what is held back for a moment is still a terminal's
console = Console(  # progress, notes and errors
    stderr=True, highlight=False, markup=False, emoji=False, force_terminal=_TERMINAL
)
console_out = Console(highlight=False, markup=False, emoji=False)  # the answer

heartbeat = Heartbeat(
    lambda line: note(f"  {line}"), lambda: console.is_terminal, look=lambda pace: keep_now(_now(pace))
)
"""Of the command at work: it speaks where that is silent."""

_LONGEST_SHOWN = 2000  # characters of one setting's value on the line that repeats the settings

OutOption = Annotated[
    Path | None,
    typer.Option("--out", help="Directory of this step. Default: recollect-runs/<step>-<fingerprint>."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line on stdout.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="YAML file with these settings; flags beat it. Unknown keys are errors."),
]

_FileArgument = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help="YAML file with these settings, as --config.", show_default=False),
]


def command(
    app: typer.Typer,
    name: str,
    settings: type[Settings],
    run: Callable[..., None],
    extra: Mapping[str, tuple[Any, Any]] | None = None,
    takes_file: bool = False,
    first: Sequence[str] = (),
) -> None:
    """Add a command whose options are the fields of `settings`; calls run(settings, out=…, as_json=…, **extra).

    extra: further arguments by name, each with its annotation and its default. takes_file: the file of --config may
    also be the first argument. first: the flags that most people need, which the help shows first.
    """
    extra = extra or {}
    options: dict[str, tuple[Any, Any]] = {field.replace(".", "__"): (kind, None) for field, kind in _options(settings)}
    options |= {"config": (ConfigOption, None), "out": (OutOption, None), "as_json": (JsonOption, False), **extra}

    def body(**values: Any) -> None:
        config, out, as_json = values.pop("config"), values.pop("out"), values.pop("as_json")
        values.pop("help_all", None)
        if (file := values.pop("file", None)) is not None:
            if config is not None:
                raise InputError(f"the file of settings was given twice, as {file} and as --config {config}.")
            config = file
        others = {key: values.pop(key) for key in extra}
        given = {field.replace("__", "."): value for field, value in values.items()}
        made, origin = settings.resolve(file=read_yaml(config) if config else None, flags=given)
        show_settings(made, origin)
        with heartbeat.held(), reading(_inputs_of(made, origin)):
            run(made, out=out, as_json=as_json, **others)

    if takes_file:
        options["file"] = (_FileArgument, None)
    if any(map(settings.section, settings.model_fields)):
        options["help_all"] = (HelpAll, False)
    body.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for key, (kind, default) in options.items()
        ]
    )
    body.__annotations__ = {key: kind for key, (kind, _) in options.items()}
    help_text, _, _ = inspect.cleandoc(settings.__doc__ or "").partition("\n\nExamples:")  # the example is Python
    body.__doc__ = help_text
    body.__name__ = name.replace("-", "_")
    app.command(name, cls=help_command(first))(body)


def _options(settings: type[Settings]) -> Iterator[tuple[str, Any]]:
    """The fields of the settings, and after them those of its sections, named with a dot, that are not fixed."""
    for name, info in settings.model_fields.items():
        yield name, _annotation(name, info, info.get_default(call_default_factory=True))
    for name, info in settings.model_fields.items():
        if section := settings.section(name):
            default = info.get_default(call_default_factory=True)
            for field, inner in section.model_fields.items():
                if field not in settings.fixed(name):
                    own = inner.get_default(call_default_factory=True)
                    yield f"{name}.{field}", _annotation(field, inner, getattr(default, field, own), f"{name}.")


def _annotation(name: str, info: FieldInfo, default: Any, section: str = "") -> Any:
    kind = _plain(info.annotation)
    shown = "required" if default is PydanticUndefined else _text(default)
    # the class docstring's line breaks are for the source; a terminal wraps by itself
    help_text = " ".join((info.description or "").split()) + f" [default: {shown}]"
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    if argument := extra.get("argument"):
        return Annotated[kind | None, typer.Argument(metavar=str(argument), help=help_text, show_default=False)]
    flag = str(extra.get("flag", "--" + name.replace("_", "-")))  # "from" cannot be the name of a field
    flag = f"--{section.replace('_', '-')}{flag.removeprefix('--')}"
    if kind is bool:
        off = f"--{section.replace('_', '-')}no-{flag[2 + len(section) :]}"
        return Annotated[bool | None, typer.Option(f"{flag}/{off}", help=help_text, show_default=False)]
    return Annotated[kind | None, typer.Option(flag, help=help_text, show_default=False)]


def _plain(annotation: Any) -> Any:
    """The type an option is read as: the scalar inside Annotated and Optional; text for anything richer."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _plain(get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        inner = [arg for arg in get_args(annotation) if arg is not type(None)]
        return _plain(inner[0]) if len(inner) == 1 else str
    if origin is Literal:
        return annotation
    return annotation if annotation in (int, float, bool, str) else str


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if value in ("", (), {}):
        return "empty"
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    if isinstance(value, bool):
        return "on" if value else "off"
    return _flow(value.given() if isinstance(value, Settings) else value)


def _flow(value: Any) -> str:
    """Mappings and lists as a settings file writes them in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_flow(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def show_settings(settings: Settings, origin: dict[str, str]) -> None:
    """Print the settings that were given, and count the defaults."""
    given = [
        f"{name}={_cut(_text(operator.attrgetter(name)(settings)))} ({where})"
        for name, where in origin.items()
        if where != "default"
    ]
    rest = sum(where == "default" for where in origin.values())
    note(f"settings: {hide_secrets(', '.join([*given, f'{rest} by default']))}")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def _inputs_of(settings: Settings, origin: dict[str, str]) -> str:
    """The files and folders among the given settings, for the line that tells of an input that cannot be read."""
    given = {name: operator.attrgetter(name)(settings) for name, where in origin.items() if where != "default"}
    paths = [f"{name} {value}" for name, value in given.items() if isinstance(value, str | Path) and _exists(value)]
    return f"in {' or '.join(paths)}" if paths else "in the input"


def _exists(value: str | Path) -> bool:
    try:
        return str(value) != "" and Path(value).exists()
    except (OSError, ValueError):  # a text too long for a name, or with a NUL
        return False


def note(text: str) -> None:
    """Print one line for people on stderr; in a log it stays one line."""
    heartbeat.heard()
    keep_line(text)
    console.print(text, style="dim", soft_wrap=not console.is_terminal)


def _now(pace: Pace) -> Now:
    """How far a piece of work is, for who looks on from outside."""
    detail = pace.detail()
    left = pace.seconds_left() if detail.seconds_left is None else detail.seconds_left
    return Now(*me(), pace.what, pace.unit, pace.done, pace.total, pace.seconds(), left, detail.text)


def print_table(table: Table) -> None:
    """Print a table of numbers, which are never cut: without a terminal it is as wide as it needs."""
    for column in table.columns:
        column.overflow = "fold"
    if not console_out.is_terminal:
        needed = Measurement.get(console_out, console_out.options.update(max_width=_WIDEST), table).maximum
        table.width = max(needed, len(str(table.title or "")))
    console_out.print(table, crop=console_out.is_terminal)


def warn(text: str) -> None:
    """Print what nobody should overlook on stderr."""
    heartbeat.heard()
    keep_line(text)
    console.print(text, style="bold red", soft_wrap=True)


def machine_line(*uses: tuple[str, Machine]) -> None:
    """Print what was chosen of the machine, and why: one line where all uses agree, else one for each.

    uses: what is done, and the machine as its settings choose it.
    """
    if len({(machine.device, machine.dtype) for _, machine in uses}) <= 1:
        uses = (("machine", uses[0][1]),)
    for what, machine in uses:
        note(f"{what}: {machine.line()}")


def answer(value: Mapping[str, object], as_json: bool) -> None:
    """Print the JSON answer as the last line on stdout, if asked for."""
    if as_json:
        sys.stdout.write(json.dumps(value, allow_nan=False) + "\n")
        sys.stdout.flush()


class _Rate(ProgressColumn):
    """Units per second, or seconds per unit."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = None if is_share(self._unit) else task.speed
        return Text("" if not speed else f"{speed:,.0f} {self._unit}/s" if speed >= 1 else f"{1 / speed:.1f} s each")


class _TimeLeft(ProgressColumn):
    """The time left, once there is something to tell it from; and what is at work inside."""

    max_refresh = 1.0

    def __init__(self, pace: Pace) -> None:
        super().__init__(Column(no_wrap=True))  # a second line would jump
        self._pace = pace

    def render(self, task: Task) -> Text:
        detail = self._pace.detail()
        left = self._pace.seconds_left() if detail.seconds_left is None else detail.seconds_left
        shown = [] if left is None else [f"{duration(left)} left"]
        return Text("; ".join([*shown, *([detail.text] if detail.text else [])]))


class _Bar(Progress):
    """A bar that leaves room for the ^C of a terminal: on a full line that would wrap, and the bar stay behind."""

    def get_renderable(self) -> RenderableType:
        return Constrain(super().get_renderable(), max(1, console.width - 2))


class ProgressLine:
    """How far a step is, on stderr: a bar with rate and time left on a terminal, else a line every 15 seconds.

    Used as the `progress` callback of a step.

    detail: what work that is made of other work says of itself.
    """

    def __init__(self, what: str, unit: str, detail: Callable[[], Detail] | None = None) -> None:
        self._pace = Pace(what, unit, detail)
        self._bar = _Bar(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[count]}"),
            _Rate(unit),
            TimeElapsedColumn(),
            _TimeLeft(self._pace),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(what, total=None, count="")
        self._open = ExitStack()

    def __enter__(self) -> ProgressLine:
        self._open.enter_context(heartbeat.working(self._pace))
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        self._open.close()

    def then(self, what: str) -> None:
        """Other work from here on, whose length is not known."""
        self._pace.begin(what)
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(what, total=None, count="")

    def __call__(self, done: int, total: int) -> None:
        self._pace(done, total)
        if done and (line := start_up_line()):
            note(f"  {line}")
        shown = counted(done, total, "%" if is_share(self._pace.unit) else "")
        self._bar.update(self._task, completed=done, total=total, count=shown)
