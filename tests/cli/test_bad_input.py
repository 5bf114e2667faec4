"""Bad input ends in one message and changes nothing, whatever is wrong with it."""

from __future__ import annotations

import errno
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from helpers_world import Command, World, contents, probe_flags

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
    "top-k with the closed form": (
        "probe --model MODEL --facts FACTS --method hybrid --top-k 5",
        "goes with sampled or adaptive draws only",
    ),
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
    "a closed form to judge again": ("rescore CLOSED --facts FACTS", "Probe with --method sampled"),
    "an unknown matcher": ("rescore PROBE --facts FACTS --judge like", "judge must be one of"),
    "too few facts for a pocket": ("pocket build --facts few.csv", "at least 30 facts"),
    "too few examples": ("slick --model MODEL --facts FACTS --shots 90", "Lower --shots"),
    "a bad section": ("study --model MODEL --facts FACTS --probe '{samples: 0}'", "probe.samples"),
    "an unclosed section": ("study --model MODEL --facts FACTS --probe '{samples: 0'", "probe"),
    "a section of text": ("study --model MODEL --facts FACTS --train fast", "train"),
    "an unknown choice": ("study --model MODEL --facts FACTS --choices 5", "choices"),
    "no size": ("study --model MODEL --facts FACTS --sizes ,", "sizes: "),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_in_one_message_and_changes_nothing(
    recollect: Command, monkeypatch: pytest.MonkeyPatch, world: World, probed: Path, bad_place: Path, case: str
) -> None:
    monkeypatch.chdir(bad_place)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    command, message = BAD[case]
    if "CLOSED" in command:
        flags = (
            "--model",
            world.model,
            "--facts",
            world.facts,
            "--method",
            "closed-form",
            "--out",
            bad_place / "CLOSED",
        )
        assert recollect("probe", *flags).code == 0
    names = {"MODEL": world.model, "FACTS": world.facts, "PROBE": probed, "SELECTION": bad_place / "selection"}
    before = contents(bad_place)
    arguments = [names.get(word, word) for word in shlex.split(command)]
    answer = recollect(*arguments, "--json")
    assert answer.code == (3 if "not a finished step" in message else 2), answer.err
    said = " ".join(answer.err.split())
    said = re.sub(r"No such option '([^']+)'", r"No such option: \1", said)  # as older versions of typer put it
    assert message in said
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


@pytest.mark.filterwarnings("ignore:.*carry no checksums")
@pytest.mark.parametrize(("step", "said"), [("evaluate", "asked/outputs.parquet"), ("probe", "facts: Field required")])
def test_a_step_without_checksums_that_lacks_what_is_read_is_named(recollect: Command, step: str, said: str) -> None:
    Path("asked").mkdir()
    manifest = {"step": step, "fingerprint": "f", "settings": {}, "inputs": {}, "plan": {}}
    Path("asked/manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    answer = recollect("rescore", "asked")
    assert answer.code == (3 if step == "probe" else 2)  # the record itself is of no probe of this version
    assert said in answer.err


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
