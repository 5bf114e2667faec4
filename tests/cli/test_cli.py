"""The command line as a contract: what each command takes, what it prints where, and how it ends."""

from __future__ import annotations

import importlib
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import typer
from rich.console import Console

import recollect as recollect_package
from helpers_world import EVALUATE, PROBE, TRAIN, Command, World, flags, probe_flags, tables
from recollect.cli import main as cli
from recollect.cli import options as _options
from recollect.cli.demo import DemoSettings
from recollect.core.workspace import update_checksums
from recollect.steps import STEPS, public_names

COMMANDS = [entry.command for entry in STEPS]
SETTINGS = {entry.command: entry for entry in STEPS if entry.settings}
SLICK = {"prompts": 2, "shots": 1, "samples": 2, "max_new_tokens": 4, "limit": 12}
POCKET = {"vocabulary": 400, "width": 16, "layers": 1, "sequence": 32, "mentions": 4}


# -- what every command has -----------------------------------------------------------------------------


def test_the_version_imports_nothing_heavy() -> None:
    program = """
import sys
sys.argv = ["recollect", "--version"]
from recollect.cli.main import main
try:
    main()
except SystemExit as stop:
    assert not stop.code
heavy = {"torch", "transformers", "polars", "datasets", "trl", "peft", "matplotlib", "scipy", "numpy", "pandas"}
print(sorted(heavy & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == [f"recollect {cli.__version__}", "[]"]


def test_help_without_a_command_lists_every_command(recollect: Command) -> None:
    text = recollect("--help").out
    assert all(f"\n  {name.split()[0]} " in text for name in COMMANDS)
    assert recollect("pocket", "--help").out.count("\n  build ") == 1


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "work"])  # whose study has the seed
def test_every_command_takes_out_seed_and_json(recollect: Command, name: str) -> None:
    answer = recollect(*name.split(), "--help")
    assert answer.code == 0
    assert {"--out", "--seed", "--json"} <= set(answer.out.split())


@pytest.mark.parametrize("name", [*SETTINGS, "demo"])
def test_every_setting_is_an_option_with_its_docstring_as_help(recollect: Command, name: str) -> None:
    settings = DemoSettings if name == "demo" else SETTINGS[name].settings_class()
    assert settings is not None
    asked = "--help-all" if any(map(settings.section, settings.model_fields)) else "--help"
    text = " ".join(recollect(*name.split(), asked).out.split())
    options = list(settings.model_fields.items())
    for field in settings.model_fields:
        if section := settings.section(field):
            inner = section.model_fields.items()
            options += [(f"{field}.{name}", info) for name, info in inner if name not in settings.fixed(field)]
    for field, info in options:
        extra = info.json_schema_extra or {}
        flag = f"[{extra['argument']}]" if "argument" in extra else extra.get("flag", f"--{field.replace('_', '-')}")
        assert f"{flag} " in text.replace(",", " ").replace("/", " "), field
        first = (info.description or "").split(". ")[0].split()[:4]
        assert " ".join(first) in text, field


def test_every_step_has_its_public_names_and_type_checkers_know_them() -> None:
    public = public_names()
    assert set(recollect_package.__all__) == {"__version__", *public}
    for entry in STEPS:
        assert not entry.settings or {entry.settings, entry.run} <= public.keys()
    for name, place in public.items():
        assert getattr(recollect_package, name).__name__ == place.partition(":")[2], name
    source = Path(recollect_package.__file__).read_text(encoding="utf-8")
    shown = dict.fromkeys(re.findall(r"^    from \S+ import \w+ as (\w+)$", source, re.MULTILINE))
    assert set(shown) == set(public)
    with pytest.raises(AttributeError, match="has no attribute 'nothing_such'"):
        recollect_package.nothing_such  # noqa: B018


def test_calling_the_entry_point_again_registers_nothing_twice(recollect: Command) -> None:
    first = recollect("--help").out
    before = [one.name for one in cli.app.registered_commands]
    assert len(set(before)) == len(before)
    assert recollect("drift", "--help").code == 0
    assert recollect("--version").out == f"recollect {cli.__version__}\n"
    assert recollect("--help").out == first
    assert [one.name for one in cli.app.registered_commands] == before


# -- the answers ----------------------------------------------------------------------------------------


def test_the_steps_chain_and_answer_one_json_line_each(recollect: Command, world: World, tmp_path: Path) -> None:
    model, common = ["--model", str(world.model)], ["--json", "--seed", "3"]
    rows = [
        {
            "question": fact.question,
            "object": fact.object,
            "relation": fact.relation,
            "subject": fact.subject,
            "split": fact.part,
        }
        for fact in world.fact_set
    ]
    pl.DataFrame(rows).write_csv("facts.csv")
    facts = recollect("facts", "--path", "facts.csv", "--out", "facts", *common).json
    assert list(facts.items())[:3] == [("train", 40), ("test", 20), ("ood", 8)]

    probe = recollect("probe", *model, "--facts", "facts", *flags(PROBE), "--out", "probe", *common).json
    assert set(probe["levels"]) == {"0", "1", "2", "3", "4"}
    assert sum(probe["levels"].values()) == probe["facts"] == 68
    assert probe["seconds"] >= 0
    assert Path(probe["out"]) == tmp_path / "probe"

    slick = recollect("slick", *model, "--facts", "facts", *flags(SLICK), "--out", "slick", *common).json
    assert sum(slick["categories"].values()) == slick["facts"] == 12

    ranked = flags({"templates": 1, "candidates": 6, "limit": 8})
    hidden = recollect(
        "hidden", *model, "--facts", "facts", "--levels", "probe", *ranked, "--out", "hidden", *common
    ).json
    assert hidden["hidden"] + hidden["absent"] + hidden["undecided"] == hidden["level_0"] == 8
    assert hidden["share"]["low"] <= hidden["share"]["value"] <= hidden["share"]["high"]

    chosen = ["--facts", "facts", "--levels", "probe", "--size", "8", "--level", "0"]
    selection = recollect("select", *chosen, "--out", "selection", *common).json
    assert selection["by_level"] == {"0": 8}

    train = recollect("train", *model, "--selection", "selection", *flags(TRAIN), "--out", "tuned", *common).json
    assert (train["steps"], train["examples"]) == (2, 8)

    asked = ["--model", "tuned", "--facts", "facts", "--levels", "probe", *flags(EVALUATE)]
    scores = recollect("evaluate", *asked, "--out", "scores", *common).json
    assert 0 <= scores["macro"] <= 100
    assert 0 <= scores["micro"] <= 100
    assert sum(level["n"] for level in scores["by_level"].values()) == 20
    assert scores["ood"]["n"] == 8

    for step in ("facts", "probe", "slick", "hidden", "selection", "tuned", "scores"):
        manifest = json.loads(Path(step, "manifest.json").read_text(encoding="utf-8"))
        assert manifest["settings"]["seed"] == 3, step
    again = recollect("probe", *model, "--facts", "facts", *flags(PROBE), "--out", "probe", *common).json
    assert again == probe


def test_another_seed_draws_anew(recollect: Command, world: World, probed: Path) -> None:
    answer = recollect("probe", *probe_flags(world), "--seed", "1", "--out", "other", "--json").json
    assert tables(Path(answer["out"]))["levels.parquet"] != tables(probed)["levels.parquet"]


def test_a_pocket_is_built_on_given_facts(recollect: Command, tmp_path: Path) -> None:
    lines = ["question,answer", *(f"Who is number {i}?,Name {i % 9}" for i in range(60))]
    Path("facts.csv").write_text("\n".join(lines), encoding="utf-8")
    answer = recollect("pocket", "build", "--facts", "facts.csv", *flags(POCKET), "--out", "pocket", "--json").json
    assert Path(answer["out"]) == tmp_path / "pocket"
    assert answer["teachers"] == 20
    assert answer["train"] + answer["test"] + answer["ood"] == 40


def test_without_ood_facts_the_answer_still_has_the_key(recollect: Command, world: World) -> None:
    asked = ["--model", world.model, "--facts", world.facts, "--parts", "test", *flags(EVALUATE)]
    answer = recollect("evaluate", *asked, "--out", "scores", "--json").json
    assert answer["ood"] is None
    assert answer["macro"] is None  # without --levels there is no mean over levels
    assert answer["micro"] is not None


def test_a_finished_sampled_probe_is_judged_again(recollect: Command, world: World) -> None:
    made = recollect("probe", *probe_flags(world), "--method", "sampled", "--out", "sampled", "--json").json
    same = ["rescore", "sampled", "--facts", world.facts]
    answer = recollect(*same, "--matcher", "contains", "--out", "again.parquet", "--json").json
    assert answer["levels"] == made["levels"]
    assert pl.read_parquet("again.parquet").height == 68
    word = recollect(*same, "--matcher", "word", "--json").json
    assert word["levels"]["0"] > made["levels"]["0"]  # a letter within a word is no word


def test_a_finished_evaluation_is_judged_again(recollect: Command, world: World) -> None:
    """Also one that was judged by an older matcher: its outputs are judged anew, and the line says so."""
    flags = ["--model", world.model, "--facts", world.facts, "--max-new-tokens", "2"]
    recollect("evaluate", *flags, "--out", "asked")
    manifest = json.loads(Path("asked/manifest.json").read_text())
    manifest["inputs"]["matcher"] = "1"
    del manifest["checksum"]  # set anew below
    Path("asked/manifest.json").write_text(json.dumps(manifest))
    update_checksums(Path("asked"))
    made = recollect("rescore", "asked", "--matcher", "contains", "--out", "again.parquet", "--json")
    assert "judged by version 1 of the matchers when it was made" in made.err
    stored = pl.read_parquet("asked/accuracy.parquet").filter(pl.col("matcher") == "contains")
    assert pl.read_parquet("again.parquet").equals(stored)
    assert [row["accuracy"] for row in made.json["accuracy"]] == stored["accuracy"].to_list()


def test_for_people_the_result_is_on_stdout_and_its_path_in_one_piece(
    recollect: Command, world: World, probed: Path
) -> None:
    folder = probed.parent / ("a-long-name-" * 12 + ":smile:")
    shutil.copytree(probed, folder)
    answer = recollect("probe", *probe_flags(world), "--out", folder)
    assert answer.code == 0
    assert answer.out.splitlines()[-1] == str(folder)
    assert "level 4" in answer.out
    assert "settings: " in answer.err


def test_how_many_facts_are_hidden_is_told_apart_from_which(recollect: Command, world: World, probed: Path) -> None:
    given = ["--model", world.model, "--facts", world.facts, "--levels", probed]
    few = flags({"templates": 1, "candidates": 6, "limit": 8, "fdr": 0.4})
    answer = recollect("hidden", *given, *few, "--out", "hidden")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0] == "8 facts at level 0, whose answer the model never gave"
    assert lines[4].startswith("How many are hidden: about ") and " of 8, or more" in lines[4]
    assert lines[5].startswith("Which ones: ") and "hidden facts can be among them" in lines[5]


def test_the_settings_line_tells_where_each_value_came_from(recollect: Command) -> None:
    Path("[bold]facts.csv").write_text("question,answer\nWho?,Ada\nWhere?,Rome\n", encoding="utf-8")
    Path("facts.yaml").write_text("name: '[red]mine'\ntest_share: 0.3\n", encoding="utf-8")
    given = ["--path", "[bold]facts.csv", "--config", "facts.yaml", "--test-share", "0.5"]
    answer = recollect("facts", *given, "--out", "facts")
    assert answer.code == 0
    line = " ".join(answer.err.split())
    assert line.startswith("settings: path=[bold]facts.csv (flag), name=[red]mine (file), test_share=0.5 (flag), ")
    assert line.endswith(" by default")


def test_a_terminal_without_our_signs_gets_its_answer(
    monkeypatch: pytest.MonkeyPatch, recollect: Command, world: World
) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    asked = ["--model", world.model, "--facts", world.facts, *flags(EVALUATE), "--out", "scores"]
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", terminal)
        recollect("evaluate", *asked)
    terminal.seek(0)
    assert "micro" in terminal.read()


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_a_terminal_and_only_there(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(_options, "console", Console(file=screen, force_terminal=terminal, width=100))
    with _options.ProgressLine("probing", "prompts") as progress:
        for done in (256, 512, 768):
            progress(done, 1428)
    assert ("768/1,428" in screen.getvalue()) == ("prompts/s" in screen.getvalue()) == terminal


def test_the_list_of_commands_imports_nothing_heavy() -> None:
    program = """
import sys
sys.argv = ["recollect", "--help"]
from recollect.cli.main import main
try:
    main()
except SystemExit as stop:
    assert not stop.code
print(sorted({"torch", "transformers", "polars", "trl", "matplotlib", "scipy", "numpy", "optuna"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout[-200:]


def test_every_command_of_the_list_is_registered_by_its_module() -> None:
    for entry in STEPS:
        app = typer.Typer()
        importlib.import_module(f"recollect.cli.{entry.module}").register(app)
        assert entry.command.split()[-1] in [one.name for one in app.registered_commands]
