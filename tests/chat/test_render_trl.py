"""Ids, masks, loss and gradients are those of TRL's SFTTrainer with `assistant_only_loss`, where TRL knows a template.

The templates are those that TRL ships. Of some of them its own mask also holds the tokens of the generation prompt,
which the model is given and never says; there ours is that mask without them, and a test says of which.
"""

from __future__ import annotations

import re
from pathlib import Path

import datasets
import pytest
import torch
import trl.chat_template_utils
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

from helpers_chat import ONE, SYSTEM, TOOLS, TWO, trained_letters
from recollect.chat.render import render
from recollect.conversation import Conversation
from recollect.train import TrainSettings
from recollect.train.trainer import Setup, Watch, build_trainer, quiet, undisturbed

_SHIPPED = Path(trl.chat_template_utils.__file__).parent / "chat_templates"
SAME = ("cohere", "cohere2", "gemma", "gemma3", "glm4moe", "lfm2", "llama3", "phi3", "qwen3_instruct_2507")
LARGER = ("qwen2_5", "qwen3_5_think", "qwen3_8")
"""Families of whose generation prompt TRL's mask holds a part."""
_TALKS = {"gemma": (ONE, TWO), "glm4moe": (ONE, TWO, SYSTEM, TOOLS), "qwen3_instruct_2507": (ONE, TWO, SYSTEM, TOOLS)}
_CONTROL = re.compile(r"<[|｜][^|｜<>]*[|｜]>|<[a-z]+_of_[a-z]+>|<\|[A-Z_]+\|>|\[gMASK\]|<sop>")


def _shipped(name: str) -> PreTrainedTokenizerFast:
    file = _SHIPPED / f"{name}.jinja"
    if not file.is_file():
        pytest.skip(f"this TRL ships no template {name}")
    text = file.read_text(encoding="utf-8")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(trained_letters(False)),
        bos_token="<bos>",
        eos_token="<|im_end|>" if "<|im_end|>" in text else "</s>",
        pad_token="<pad>",
        additional_special_tokens=sorted(set(_CONTROL.findall(text))),
    )
    tokenizer.add_tokens(["<think>", "</think>", "<tool_call>", "</tool_call>"])
    tokenizer.chat_template = text
    return tokenizer


def _theirs(tokenizer: PreTrainedTokenizerFast, talk: Conversation) -> tuple[list[int], list[int]]:
    made = tokenizer.apply_chat_template(
        talk.as_messages(),
        tools=list(talk.tools) or None,
        chat_template=trl.chat_template_utils.get_training_chat_template(tokenizer),
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    return made["input_ids"], made["assistant_masks"]


@pytest.mark.parametrize("name", SAME)
def test_ids_and_masks_are_trl_s(name: str) -> None:
    tokenizer = _shipped(name)
    for talk in _TALKS.get(name, (ONE, TWO, SYSTEM)):
        [example] = render(tokenizer, talk)
        assert (example.ids, example.mask) == _theirs(tokenizer, talk)


@pytest.mark.parametrize("name", LARGER)
def test_what_trl_learns_besides_is_of_the_generation_prompt(name: str) -> None:
    tokenizer = _shipped(name)
    [example] = render(tokenizer, ONE)
    ids, mask = _theirs(tokenizer, ONE)
    asked = tokenizer.apply_chat_template(
        ONE.as_messages()[:1], add_generation_prompt=True, return_dict=True
    )["input_ids"]  # fmt: skip
    assert example.ids == ids and ids[: len(asked)] == asked
    assert example.mask == [0] * len(asked) + [1] * (len(ids) - len(asked))
    assert mask[len(asked) :] == example.mask[len(asked) :] and sum(mask) > sum(example.mask)


@pytest.mark.parametrize("name", ["llama3", "phi3", "qwen3_instruct_2507"])
def test_loss_and_gradients_are_trl_s(name: str, tmp_path: Path) -> None:
    tokenizer, talks = _shipped(name), [ONE, TWO, SYSTEM]
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2
    )
    model = LlamaForCausalLM(config)
    settings = TrainSettings.make(learning_rate=1e-3, batch_size=3, max_steps=1)
    with undisturbed(), quiet("cpu"):
        setup = Setup(settings, "cpu", False, 1, tmp_path)
        ours = build_trainer(
            model, tokenizer, [(e.ids, e.mask) for talk in talks for e in render(tokenizer, talk)], setup, Watch(None)
        )
        theirs = SFTTrainer(
            model=model,
            args=SFTConfig(
                output_dir=str(tmp_path),
                assistant_only_loss=True,
                max_length=None,
                use_cpu=True,
                bf16=False,
                report_to="none",
                per_device_train_batch_size=3,
                disable_tqdm=True,
            ),
            train_dataset=datasets.Dataset.from_list([{"messages": talk.as_messages()} for talk in talks]),
            processing_class=tokenizer,
        )
        found = []
        for trainer in (ours, theirs):
            rows = [trainer.train_dataset[index] for index in range(3)]
            batch = trainer.data_collator(rows)
            model.zero_grad()
            model.eval()
            loss = trainer.compute_loss(model, batch)
            loss.backward()
            grads = torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])
            found.append((float(loss.detach()), grads))
    (our_loss, our_grads), (their_loss, their_grads) = found
    assert our_loss == pytest.approx(their_loss, abs=1e-5) and our_loss > 1
    assert torch.allclose(our_grads, their_grads, atol=1e-6) and float(our_grads.norm()) > 0.1
