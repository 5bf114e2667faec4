"""The command line as a contract: what each command takes, what it prints where, and how it ends."""

from __future__ import annotations

import errno
import importlib
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import typer
from rich.console import Console

from helpers_world import EVALUATE, PROBE, TRAIN, Command, World, contents, flags, make_world, tables
from recollect.cli import commands
from recollect.cli import main as cli
from recollect.cli import options as _options
from recollect.core.workspace import update_checksums
from recollect.evaluate import EvaluateSettings
from recollect.experiments.curve import CurveSettings
from recollect.experiments.search import SearchSettings
from recollect.experiments.study import StudySettings
from recollect.extraction.html import PagesSettings
from recollect.extraction.labels import LabelSettings
from recollect.facts import FactsSettings
from recollect.probe import ProbeSettings, SlickSettings
from recollect.select import SelectSettings
from recollect.train import TrainSettings
from recollect.worlds.quiz import PocketSettings
from recollect.worlds.shop import ShopSettings

STEPS = {
    "facts": FactsSettings,
    "probe": ProbeSettings,
    "slick": SlickSettings,
    "select": SelectSettings,
    "train": TrainSettings,
    "evaluate": EvaluateSettings,
    "study": StudySettings,
    "demo": StudySettings,
    "pocket build": PocketSettings,
    "pocket shop": ShopSettings,
    "pages": PagesSettings,
    "label": LabelSettings,
    "curve": CurveSettings,
    "search": SearchSettings,
}
COMMANDS = [*STEPS, "rescore", "report"]
SLICK = {"prompts": 2, "shots": 1, "samples": 2, "max_new_tokens": 4, "limit": 12}
POCKET = {"vocabulary": 400, "width": 16, "layers": 1, "sequence": 32, "mentions": 4}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def recollect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, world: World
) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(monkeypatch, capsys)


@pytest.fixture(scope="module")
def probed(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished probe of the world by `recollect probe`."""
    from recollect.probe import run_probe

    settings = ProbeSettings.make(model=str(world.model), facts=str(world.facts), batch_size=8, **PROBE)
    return run_probe(settings, world.fact_set, tmp_path_factory.mktemp("probed") / "probe").path


def probe_flags(world: World) -> list[str]:
    return ["--model", str(world.model), "--facts", str(world.facts), *flags({**PROBE, "batch_size": 8})]


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


def test_every_command_takes_out_seed_and_json(recollect: Command) -> None:
    registered = [[name] for lines in commands.COMMANDS.values() for name in lines]
    registered += [["pocket", name] for lines in commands.POCKET.values() for name in lines]
    assert {" ".join(words) for words in registered} >= set(COMMANDS)
    for words in registered:
        answer = recollect(*words, "--help")
        assert answer.code == 0
        assert {"--out", "--seed", "--json"} <= set(answer.out.split()), words


@pytest.mark.parametrize("name", STEPS)
def test_every_setting_is_an_option_with_its_docstring_as_help(recollect: Command, name: str) -> None:
    text = " ".join(recollect(*name.split(), "--help").out.split())
    for field, info in STEPS[name].model_fields.items():
        flag = (info.json_schema_extra or {}).get("flag", f"--{field.replace('_', '-')}")
        assert f"{flag} " in text.replace(",", " ").replace("/", " "), field
        if name != "demo":  # which has its own defaults and their words
            first = (info.description or "").split(". ")[0].split()[:4]
            assert " ".join(first) in text, field


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
    assert (facts["train"], facts["test"], facts["ood"]) == (40, 20, 8)

    probe = recollect("probe", *model, "--facts", "facts", *flags(PROBE), "--out", "probe", *common).json
    assert set(probe["levels"]) == {"0", "1", "2", "3", "4"}
    assert sum(probe["levels"].values()) == probe["facts"] == 68
    assert probe["seconds"] >= 0
    assert Path(probe["out"]) == tmp_path / "probe"

    slick = recollect("slick", *model, "--facts", "facts", *flags(SLICK), "--out", "slick", *common).json
    assert sum(slick["categories"].values()) == slick["facts"] == 12

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

    for step in ("facts", "probe", "slick", "selection", "tuned", "scores"):
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


# -- bad input ------------------------------------------------------------------------------------------


def broken_model(world: World, folder: Path, how: str) -> Path:
    """A copy of the model with one thing wrong."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(world.model, folder)
    weights = folder / "model.safetensors"
    if how == "pickled":
        torch.save(load_file(weights), folder / "pytorch_model.bin")
        weights.unlink()
    elif how == "own code":
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config["auto_map"] = {"AutoModelForCausalLM": "modeling_mine.Mine"}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        (folder / "modeling_mine.py").write_text("raise SystemExit('ran')", encoding="utf-8")
    else:
        values = load_file(weights)
        values["lm_head.weight"][3, 4] = float("nan")
        save_file(values, weights, metadata={"format": "pt"})
    return folder


FILES = {
    "empty.csv": b"",
    "latin.csv": "question,answer\nWo?,K\xf6ln\n".encode("latin-1"),
    "column.csv": b"question,text\nWho?,Ada\n",
    "answer.csv": b"question,answer\nWho?,\n",
    "junk.parquet": b"this is no parquet",
    "list.jsonl": b"[1]\n",
    "unknown.yaml": b"sise: 5\n",
    "bad.yaml": b"size: [5\n",
    "nothing.yaml": b"- 1\n",
    "slot.yaml": b"P17: [no slot here, '[X] is in']\n",
    "results.json": b'{"schema_version": 2}',
}
BAD = {
    "a missing facts file": ("probe --model MODEL --facts none.csv", "no such file or folder: none.csv"),
    "a missing path": ("facts --path none.csv", "no such file or folder: none.csv"),
    "no path": ("facts", "path must be given"),
    "a missing model folder": ("probe --model ./nowhere --facts FACTS", "no such model folder: './nowhere'"),
    "an offline hub name": ("probe --model someone/something --facts FACTS", "HF_HUB_OFFLINE forbids fetching it"),
    "an empty file": ("facts --path empty.csv", "empty.csv is empty"),
    "a mis-encoded file": ("facts --path latin.csv", "latin.csv is not UTF-8 text"),
    "a missing column": ("facts --path column.csv", "has no column for the object"),
    "an empty answer": ("facts --path answer.csv", "line 2 has an empty answer"),
    "a broken table": ("probe --model MODEL --facts junk.parquet", "File out of specification"),
    "a line that is no object": ("facts --path list.jsonl", "line 1 must be an object"),
    "a folder that is no step": ("probe --model MODEL --facts folder", "not a finished step directory"),
    "a template without slot": (
        "probe --model MODEL --facts FACTS --templates 2 --template-file slot.yaml",
        "must contain the slot [X] exactly once, but got 'no slot here'",
    ),
    "more templates than there are": ("probe --model MODEL --facts FACTS --templates 22", "but 22 are asked for"),
    "unknown parts": ("probe --model MODEL --facts FACTS --parts dev", "parts must be some of train,test,ood"),
    "top-k with the closed form": ("probe --model MODEL --facts FACTS --top-k 5", "goes with method sampled only"),
    "no fact at the level": ("select --facts FACTS --levels PROBE --level 4 --size 1", "no training fact at level 4"),
    "fewer facts than N": ("select --facts FACTS --levels PROBE --level 1 --size 999", "Lower --size to"),
    "a size in words": ("select --facts FACTS --level random --size many", "but got 'many'"),
    "no levels": ("select --facts FACTS --level 1 --size 1", "levels must be given"),
    "missing levels": ("select --facts FACTS --levels none --size 1", "no levels at none"),
    "pickled weights": ("probe --model pickled --facts FACTS", "holds only pickled weights"),
    "own code": ("probe --model own-code --facts FACTS", "wants to run its own Python code"),
    "NaN weights": ("probe --model nan --facts FACTS", "lm_head.weight holds NaN"),
    "NaN weights to train on": ("train --model nan --selection SELECTION", "lm_head.weight holds NaN"),
    "NaN weights to evaluate": ("evaluate --model nan --facts FACTS", "lm_head.weight holds NaN"),
    "an unknown device": ("probe --model MODEL --facts FACTS --device tpu", "device must be"),
    "an unknown number format": ("probe --model MODEL --facts FACTS --dtype int8", "dtype must be"),
    "an unknown YAML key": ("select --facts FACTS --config unknown.yaml", "unknown setting 'sise'"),
    "bad YAML": ("select --facts FACTS --config bad.yaml", "bad.yaml is not valid YAML"),
    "YAML that is no mapping": ("select --facts FACTS --config nothing.yaml", "must hold one mapping"),
    "no YAML": ("select --facts FACTS --config none.yaml", "no such file: none.yaml"),
    "a value out of bounds": ("probe --model MODEL --facts FACTS --samples 0", "samples: input should be greater"),
    "not a number": ("probe --limit x", "--limit"),
    "not a choice": ("probe --method guess", "--method"),
    "a missing required flag": ("train --model MODEL", "--selection"),
    "an unknown flag": ("probe --no-such-flag", "No such option: --no-such-flag"),
    "an unknown command": ("prob", "No such command 'prob'"),
    "no subcommand": ("pocket bild", "No such command 'bild'"),
    "too many words": ("probe model", "unexpected extra argument"),
    "a missing selection": ("train --model MODEL --selection none", "no such step directory: none"),
    "a step of another kind": ("train --model MODEL --selection PROBE", "a 'select' one is needed"),
    "a missing study": ("report none", "no such file: none"),
    "results that are none": ("report results.json", "must be given"),
    "an adapter of nothing": ("train --model MODEL --selection SELECTION --method lora --lora-targets x", "'x'"),
    "a closed form to judge again": ("rescore PROBE --facts FACTS", "Probe with --method sampled"),
    "an unknown matcher": ("rescore PROBE --facts FACTS --matcher like", "matcher must be one of"),
    "too few facts for a pocket": ("pocket build --facts few.csv", "at least 30 facts"),
    "too few examples": ("slick --model MODEL --facts FACTS --shots 90", "Lower --shots"),
    "a bad section": ("study --model MODEL --facts FACTS --probe '{samples: 0}'", "probe: samples"),
    "an unclosed section": ("study --model MODEL --facts FACTS --probe '{samples: 0'", "probe"),
    "a section of text": ("study --model MODEL --facts FACTS --train fast", "train"),
    "an unknown choice": ("study --model MODEL --facts FACTS --choices 5", "choices"),
    "no size": ("study --model MODEL --facts FACTS --sizes ,", "sizes: "),
}


@pytest.fixture(scope="module")
def bad_place(world: World, probed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every kind of unusable file in it."""
    from recollect.select import run_select

    folder = tmp_path_factory.mktemp("bad")
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    (folder / "few.csv").write_text("question,answer\nWho?,Ada\nWhere?,Rome\n", encoding="utf-8")
    (folder / "folder").mkdir()
    for name, how in (("pickled", "pickled"), ("own-code", "own code"), ("nan", "nan")):
        broken_model(world, folder / name, how)
    run_select(SelectSettings.make(level="random", size=4), world.fact_set, out=folder / "selection")
    return folder


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_in_one_message_and_changes_nothing(
    recollect: Command, monkeypatch: pytest.MonkeyPatch, world: World, probed: Path, bad_place: Path, case: str
) -> None:
    monkeypatch.chdir(bad_place)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    command, message = BAD[case]
    names = {"MODEL": world.model, "FACTS": world.facts, "PROBE": probed, "SELECTION": bad_place / "selection"}
    before = contents(bad_place)
    arguments = [names.get(word, word) for word in shlex.split(command)]
    answer = recollect(*arguments, "--json")
    assert answer.code == (3 if "not a finished step" in message else 2), answer.err
    assert message in " ".join(answer.err.split())
    assert answer.err.lower().count("error:") == 1
    assert "Traceback" not in answer.err
    assert answer.out == ""
    after = contents(bad_place)
    new = after.keys() - before.keys()
    assert all(name.startswith("recollect-runs/") and ".partial/" in name for name in new)  # the step it was refused in
    assert {name: after[name] for name in before} == before


def test_an_unreadable_file_is_named(recollect: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("facts.csv").write_text("question,answer\nWho?,Ada\n", encoding="utf-8")

    def refuse(self: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    answer = recollect("facts", "--path", "facts.csv", "--out", "facts")
    assert answer.code == 2
    assert "facts.csv cannot be read: Permission denied" in answer.err
    assert not Path("facts").exists()


def test_a_table_that_cannot_be_written_is_named(recollect: Command, world: World) -> None:
    made = recollect("probe", *probe_flags(world), "--method", "sampled", "--out", "sampled")
    assert made.code == 0
    answer = recollect("rescore", "sampled", "--facts", world.facts, "--out", "no/such/folder.parquet")
    assert answer.code == 2
    assert "no/such/folder.parquet" in answer.err


def test_a_step_directory_from_other_settings_is_refused_and_kept(
    recollect: Command, world: World, probed: Path, tmp_path: Path
) -> None:
    shutil.copytree(probed, tmp_path / "probe")
    before = contents(tmp_path)
    answer = recollect("probe", *probe_flags(world), "--samples", "5", "--out", "probe")
    assert answer.code == 3
    assert "setting samples was 4, now 5" in answer.err
    assert "--out" in answer.err
    assert contents(tmp_path) == before


@pytest.mark.parametrize("out", ["facts.csv", "facts.csv/step"])
def test_out_in_the_way_is_refused_and_kept(recollect: Command, world: World, out: str) -> None:
    Path("facts.csv").write_text("mine", encoding="utf-8")
    answer = recollect("select", "--facts", world.facts, "--level", "random", "--size", "3", "--out", out)
    assert answer.code == 3
    assert Path("facts.csv").read_text(encoding="utf-8") == "mine"


# -- stopped on the way ---------------------------------------------------------------------------------


def test_a_full_disk_keeps_the_finished_batches_and_the_same_command_goes_on(
    recollect: Command, monkeypatch: pytest.MonkeyPatch, world: World, probed: Path
) -> None:
    command = ["probe", *probe_flags(world), "--out", "probe"]
    plain, calls = os.fsync, 0

    def fill_up(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill_up)
        answer = recollect(*command)
    assert answer.code == 5
    assert "the disk is full" in answer.err
    assert "same command" in answer.err
    kept = contents(Path("probe.partial/parts"))
    assert 2 <= len(kept) < 26
    assert not Path("probe").exists()
    assert recollect(*command).code == 0
    assert tables(Path("probe")) == tables(probed)


@pytest.mark.parametrize("what", ["os", "safetensors", "torch", "torch's end"])
def test_a_disk_that_fills_up_while_weights_are_stored_is_told_in_words(
    recollect: Command, monkeypatch: pytest.MonkeyPatch, world: World, bad_place: Path, what: str
) -> None:
    from safetensors import SafetensorError
    from transformers import LlamaForCausalLM

    errors = {
        "os": OSError(errno.ENOSPC, "No space left on device"),
        "safetensors": SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        "torch": RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
        "torch's end": RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 142144 vs 142036"),
    }

    def full(*_: object, **__: object) -> None:
        raise errors[what]

    command = ["train", "--model", world.model, "--selection", bad_place / "selection", "--out", "tuned"]
    with monkeypatch.context() as patch:
        patch.setattr(LlamaForCausalLM, "save_pretrained", full)
        answer = recollect(*command)
    assert answer.code == 5
    assert "the disk is full" in answer.err
    assert not Path("tuned").exists()
    assert recollect(*command).code == 0


def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(
    recollect: Command, world: World, probed: Path, tmp_path: Path
) -> None:
    command = ["probe", *probe_flags(world), "--out", "probe"]
    slow = "import time, recollect.core.workspace as w; p = w.Step.write_part\n"
    slow += "w.Step.write_part = lambda self, *a: (p(self, *a), time.sleep(0.5))\n"
    program = f"import sys; from recollect.cli.main import main\n{slow}sys.argv = {['recollect', *command]!r}; main()"
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    parts = tmp_path / "probe.partial" / "parts"
    until = time.monotonic() + 60
    while len(list(parts.glob("*.parquet"))) < 2 and child.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "stopped. What was finished is kept" in err
    assert "Traceback" not in err
    assert out == ""
    kept = contents(parts)
    assert len(kept) >= 2
    assert not Path("probe").exists()
    assert recollect(*command).code == 0
    assert tables(Path("probe")) == tables(probed)


def test_ctrl_c_before_any_work_is_no_traceback(recollect: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_register", stop)
    answer = recollect("probe")
    assert answer.code == 130
    assert "stopped." in answer.err


def test_a_bug_is_not_dressed_up_as_bad_input(recollect: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "_register", broken)
    monkeypatch.setattr("sys.argv", ["recollect", "probe"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


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
    for modules in (commands.COMMANDS, commands.POCKET):
        for module, lines in modules.items():
            app = typer.Typer()
            getattr(importlib.import_module(f"recollect.cli.{module}"), f"register_{module}")(app)
            assert [one.name for one in app.registered_commands] == list(lines)
