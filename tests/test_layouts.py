"""Every layout of a model's folder in every step: right, or refused by name; never a traceback, never another model.

Right means: the numbers of the same model in the layout of today; a trained folder that plain transformers (or PEFT)
loads whole; a restoration that gives the base's weights at 100 % and the tuned ones at 0 %.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

import pairs as stored
from helpers_layouts import LAYOUTS, STEPS, Layout, table
from helpers_tiny import tiny_facts
from recollect.drift import DriftSettings, run_drift
from recollect.errors import RecollectError
from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.facts import FactSet
from recollect.models import ModelSettings, find_model, load
from recollect.models.parts import model_class
from recollect.probe import ProbeSettings, run_probe
from recollect.restore import RestoreSettings, run_restore
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train

Cells = dict[str, str]
FEW = FactSet(tuple(fact for fact in tiny_facts(2, test=1) if fact.relation in ("P17", "P19")), "few")
every_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)


@pytest.fixture(scope="module")
def selection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chosen = SelectSettings(size=4, level="random")
    return run_select(chosen, FEW, root=tmp_path_factory.mktemp("select")).path


@every_layout
def test_each_step_is_right_or_refuses_by_name(
    layout: Layout, selection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOLLECT_MODELS", str(tmp_path / "models"))
    row = Row(str(layout.make(tmp_path / "base")), selection, tmp_path)
    found, wanted = {}, {}
    for step in STEPS:
        found[step] = refusal(getattr(row, step.lower()))
        wanted[step] = layout.refused.get(step, "")
    bad = {step: said for step, said in found.items() if not agrees(said, wanted[step])}
    assert not bad
    if layout.same is not None:
        same = Row(str(layout.same(tmp_path / "today")), selection, tmp_path / "same")
        same.probe()
        same.evaluate()
        for table in ("answers", "outputs"):
            assert same.tables[table].equals(row.tables[table]), table


def agrees(said: str, wanted: str) -> bool:
    """Whether a step said what it was to say: nothing where it is to work."""
    return bool(re.search(wanted, said, re.DOTALL)) if wanted else not said


def refusal(step: Callable[[], None]) -> str:
    """What a step says when it refuses; "" when it works. Any other exception fails the test."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            step()
    except RecollectError as error:
        return str(error)
    return ""


class Row:
    """The steps, one after the other, over one base."""

    def __init__(self, base: str, selection: Path, place: Path) -> None:
        self.base, self.selection, self.place = base, selection, place
        self.tables: dict[str, pl.DataFrame] = {}

    def probe(self) -> None:
        """Closed form of a few templates."""
        settings = ProbeSettings(model=self.base, method="closed-form", templates=2, device="cpu", dtype="float32")
        found = run_probe(settings, FEW, out=self.place / "probe")
        self.tables["answers"] = pl.read_parquet(found.path / "levels.parquet")

    def evaluate(self) -> None:
        """Greedy answers."""
        settings = EvaluateSettings(model=self.base, device="cpu", dtype="float32", max_new_tokens=4)
        found = run_evaluate(settings, FEW, out=self.place / "evaluate")
        self.tables["outputs"] = pl.read_parquet(found.path / "outputs.parquet")

    def full(self) -> None:
        """Train all weights; plain transformers loads the result whole, and it is not the base."""
        folder = self._train("full")
        whole(folder)
        assert any(not torch.equal(one, other) for one, other in pairs(load_cpu(folder), load_cpu(self.base)))

    def lora(self) -> None:
        """Train an adapter; PEFT loads it on the base, and says what ours does."""
        from peft import PeftModel

        folder = self._train("lora", lora_targets="all-linear", learning_rate=1e-2)
        ours = load_cpu(folder)
        again = PeftModel.from_pretrained(load_cpu(self.base), folder).eval()
        ids = torch.tensor([[1, 5, 9, 30]])
        with torch.inference_mode():
            one, other = (model(input_ids=ids).logits for model in (ours, again))
            assert torch.allclose(one, other, atol=1e-4) and not torch.allclose(
                one, load_cpu(self.base)(input_ids=ids).logits, atol=1e-4
            )

    def drift(self) -> None:
        """What the full training changed."""
        found = run_drift(DriftSettings(tokens=False), self.base, self._tuned(), out=self.place / "drift").found
        assert 0 < found.unchanged < 1 or found.parameters.share_top

    def restore(self) -> None:
        """Both ends, exactly: the base's values at 100 %, the tuned ones at 0 %."""
        trained = self._tuned() != self.base
        base, tuned = (load_cpu(self.base) if trained else None), None
        for percent in (0, 100):
            settings = RestoreSettings(percent=percent, region="all")
            found = run_restore(settings, self.base, self._tuned(), out=self.place / f"restore{percent}")
            if not trained:  # the model cannot run: its weights alone
                held, wanted = (stored.read(Path(folder)) for folder in (found.model, self.base))
                assert held.keys() == wanted.keys() and all(torch.equal(held[name], wanted[name]) for name in held)
                continue
            whole(found.model)
            tuned = tuned or load_cpu(self._tuned())
            wanted = tuned if percent == 0 else base
            assert all(torch.equal(one, other) for one, other in pairs(load_cpu(found.model), wanted))

    def _train(self, method: str, **more: Any) -> Path:
        values = {"learning_rate": 1e-3, "max_steps": 2, "batch_size": 4, "device": "cpu", "dtype": "float32"}
        settings = TrainSettings.make(model=self.base, method=method, **{**values, **more})
        return run_train(settings, self.selection, out=self.place / method).path / "model"

    def _tuned(self) -> str:
        """The trained folder; where there is none, the base, which is to be refused all the same."""
        folder = self.place / "full" / "model"
        return str(folder) if folder.is_dir() else self.base


def load_cpu(folder: str | Path) -> Any:
    """The model in float32."""
    return load(ModelSettings(model=str(folder), device="cpu", dtype="float32")).model


def pairs(one: Any, other: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The weights of two models, by name."""
    ours, theirs = dict(one.named_parameters()), dict(other.named_parameters())
    assert ours.keys() == theirs.keys()
    return [(value, theirs[name]) for name, value in ours.items()]


def whole(folder: Path) -> None:
    """Plain transformers loads a folder without a word of missing or unused weights, and its tokenizer."""
    from transformers import AutoTokenizer

    _, report = model_class(folder).from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["mismatched_keys"]
    assert all("rotary_emb" in name or name.endswith("attn.bias") for name in report["unexpected_keys"])
    assert AutoTokenizer.from_pretrained(folder).vocab_size > 0


def test_the_documentation_has_the_table() -> None:
    page = (Path(__file__).parents[1] / "docs" / "models.md").read_text()
    assert table() in page


def test_a_gguf_file_is_found_by_its_content_in_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from helpers_gguf import write_gguf

    monkeypatch.setenv("RECOLLECT_MODELS", str(tmp_path / "models"))
    file = write_gguf(tmp_path / "model.gguf")
    assert find_model(file) == find_model(tmp_path)
