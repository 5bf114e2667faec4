import io
import json
import time

import pytest
import torch
import typer
from rich.console import Console
from typer.testing import CliRunner

import recollect.cli.options as options
import recollect.drift.run as drift_module
from helpers_tiny import tiny_facts, tiny_model
from recollect.cli.drift import register
from recollect.errors import InputError
from recollect.models import ModelSettings, load


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return str(tiny_model(tmp_path_factory.mktemp("base") / "model"))


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory):
    loaded = load(ModelSettings(model=base))
    folder = tmp_path_factory.mktemp("tuned") / "model"
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter *= 1.01
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("facts")
    table = tiny_facts(1, test=2, ood=3).table()
    rows = [
        {"question": row["question"], "answer": row["object"], "split": row["split"], "domain": row["domain"]}
        for row in table.iter_rows(named=True)
    ]
    (folder / "facts.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return str(folder / "facts.jsonl")


def run(*arguments):
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer_of(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1])


def test_drift_prints_tables_and_the_answer(base, tuned, facts, tmp_path):
    (tmp_path / "text.txt").write_text("Born in Ulm.\nThe capital is Oslo.\n")
    given = ("drift", base, tuned, "--facts", facts, "--text", tmp_path / "text.txt", "--out", tmp_path / "drift")
    found = answer_of(run(*given, "--json"))
    assert found["kl_paper"] is None and found["kl_full"] > 0
    assert {"1", "20"} <= set(found["share_top"]) and found["unchanged"] == 0 == found["one_ulp"]
    again = run(*given)
    assert "answers" in again.stdout and "general text" in again.stdout and "unchanged 0.00 %" in again.stdout
    assert "--levels" in again.stderr


def test_drift_without_tokens_compares_the_parameters_alone(base, tuned, tmp_path):
    found = answer_of(
        run("drift", base, tuned, "--no-tokens", "--region", "mlp", "--out", tmp_path / "drift", "--json")
    )
    assert found["kl_full"] is None and found["parameters"]["region"] == "mlp"


def test_restore_writes_the_percentage_asked_for(base, tuned, tmp_path):
    out = tmp_path / "restored"
    found = answer_of(run("restore", base, tuned, "--percent", 30, "--region", "all", "--out", out, "--json"))
    assert {"restored", "of", "percent", "seconds", "peak_rss_mb", "out"} <= set(found)
    assert found["percent"] == 30 and found["restored"] == int(0.3 * found["of"])
    assert found["out"] == str(out)
    load(ModelSettings(model=str(out)))


def test_restore_takes_twenty_percent_unless_told(base, tuned, tmp_path):
    assert answer_of(run("restore", base, tuned, "--out", tmp_path / "restored", "--json"))["percent"] == 20


def test_the_ladder_prints_a_row_for_each_rung_and_the_answer(base, tuned, facts, tmp_path):
    tmp_path = tmp_path / "ladder"
    given = (
        "restore",
        base,
        tuned,
        "--ladder",
        "20,5",
        "--facts",
        facts,
        "--max-new-tokens",
        2,
        "--out",
        tmp_path / "l",
    )
    found = answer_of(run(*given, "--json"))
    assert {"rungs", "best", "beats_tuned"} <= set(found)
    assert len(found["rungs"]) == 2 + 5 * 2 and found["beats_tuned"] is False
    again = run(*given)
    assert all(word in again.stdout for word in ("tuned", "5 %", "20 %", "base", "interpolation", "nothing to restore"))
    assert "no model was written" in again.stderr


def test_percent_and_ladder_together_are_refused(base, tuned):
    result = run("restore", base, tuned, "--percent", 20, "--ladder", "1,5")
    assert isinstance(result.exception, InputError) and "not both" in str(result.exception)


@pytest.mark.parametrize("command", ["drift", "restore"])
def test_base_and_tuned_must_be_given_and_every_option_has_its_help(command):
    assert run(command).exit_code == 2
    text = run(command, "--help").stdout
    assert "BASE" in text and "TUNED" in text and "--region" in text


@pytest.mark.parametrize("terminal", [True, False])
def test_the_models_at_work_are_no_weights_that_are_read(base, tuned, facts, tmp_path, monkeypatch, terminal):
    """Long after the last weight nothing says 100 %: what runs then has its own name, and no time left."""
    screen, plain = io.StringIO(), drift_module.compare_tokens

    def slowly(*given, **more):
        screen.truncate(screen.seek(0))
        time.sleep(0.4)
        return plain(*given, **more)

    monkeypatch.setattr(options, "console", Console(file=screen, force_terminal=terminal, width=200))
    monkeypatch.setattr(options.heartbeat, "every", 0.05)
    monkeypatch.setattr(drift_module, "compare_tokens", slowly)
    found = run("drift", base, tuned, "--facts", facts, "--out", tmp_path / "drift")
    assert found.exit_code == 0, found.output
    assert "running both models" in screen.getvalue()
    assert "reading weights" not in screen.getvalue() and "100 %" not in screen.getvalue()
