"""The probe in a chat template: the same templates as a user's turn, scored after that very prompt."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch

from helpers_chat import write_chat_model
from recollect.chat.frame import frame_of
from recollect.facts import Fact, FactSet, shipped_relations
from recollect.generate.leads import LEADS
from recollect.models import ModelSettings, load
from recollect.probe import ProbeSettings, run_probe

_FACTS = FactSet(
    tuple(
        Fact("P36", place, city, f"What is the capital of {place}?")
        for place, city in (("Peru", "Lima"), ("Fiji", "S"))
    ),
    "capitals",
)


@pytest.mark.parametrize("family", ["ChatML", "Llama 2"])
def test_the_closed_form_is_that_of_the_answer_after_the_chat_prompt(family: str, tmp_path: Path) -> None:
    folder = write_chat_model(tmp_path / "model", family)
    settings = ProbeSettings.make(model=str(folder), templates=3, method="closed-form", prompt="chat", temperature=0.9)
    found = run_probe(settings, _FACTS, tmp_path / "chat")
    plain = run_probe(settings.model_copy(update={"prompt": "plain"}), _FACTS, tmp_path / "plain")
    assert (found.found.prompt, plain.found.prompt) == ("chat", "plain")
    assert found.levels["template_scores"].to_list() != plain.levels["template_scores"].to_list()
    loaded = load(ModelSettings.make(model=str(folder)))
    frame = frame_of(loaded.tokenizer)
    for row in found.levels.iter_rows(named=True):
        fact = _FACTS[row["fact_id"]]
        for number, text in enumerate(shipped_relations()["P36"].prompts(fact.subject, 3)):
            chances = []
            for lead in LEADS:
                prompt, said = frame.answer(text, fact.object, lead)
                with torch.inference_mode():
                    logits = loaded.model(input_ids=torch.tensor([[*prompt, *said]])).logits[0].double()
                each = torch.log_softmax(logits / 0.9, -1)[len(prompt) - 1 : -1]
                chances.append(float(each[range(len(said)), said].sum().exp()))
            # at once, and after those leads that this model was found to use
            assert 0 < chances[0] <= row["template_scores"][number] * 1.01 <= sum(chances) * 1.02


def test_sampled_completions_are_answers_in_the_chat(tmp_path: Path) -> None:
    folder = write_chat_model(tmp_path / "model", "Gemma")
    values = {"model": str(folder), "templates": 2, "samples": 2, "method": "sampled", "prompt": "chat"}
    found = run_probe(ProbeSettings.make(**values), _FACTS, tmp_path / "chat")
    plain = run_probe(ProbeSettings.make(**values | {"prompt": "plain"}), _FACTS, tmp_path / "plain")
    texts = [pl.read_parquet(one.path / "completions.parquet") for one in (found, plain)]
    assert texts[0].height == 4 and not texts[0].equals(texts[1])
    assert pl.read_parquet(found.path / "examples.parquet")["prompt"].str.contains("Peru|Fiji").all()
