"""The model card of a trained folder, README.md: what it is, how to ask it, what it learned from, and its limits.

Notable choices
- The entries at the top are those that the hub reads. What is no hub name (a local base, a file of facts) is told in
  the text only: the hub refuses other names there.
- The card of a train step has no scores, since they come later and a step is never changed. `recollect export` writes
  the card again with the evaluations that are known by then.
- No times, no paths of this machine: the same training writes the same card.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from recollect._version import __version__
from recollect.core.estimates import Estimate
from recollect.core.redact import hide_secrets
from recollect.core.workspace.manifest import MANIFEST
from recollect.models.origin import CARD, Origin, front_matter, origin_of
from recollect.select import SelectFound

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

    from recollect.train.found import TrainFound
    from recollect.train.settings import TrainSettings

TAG = "recollect"
_UNSAID = {"model", "revision", "trust_remote_code", "device", "dtype", "prompt_template", "max_length"}
_LIBRARY = {"gguf": "gguf", "ollama": "gguf", "mlx": "mlx"}
_ELSEWHERE = {
    "gguf": "Run the file with llama.cpp or llama-cpp-python.",
    "ollama": "In this folder: `ollama create NAME`, then `ollama run NAME`.",
    "mlx": "`mlx_lm.generate --model THIS-FOLDER --prompt ...`",
}
_NO_SCORES = (
    "None is known to this card. `recollect evaluate` measures the model; `recollect export` writes the card again "
    "with what was measured."
)


@dataclass(frozen=True)
class Score:
    """One figure of an evaluation, as it stands in the card."""

    name: str
    """What was measured: "accuracy, in-domain test questions"."""
    value: Estimate
    data: str
    """What was asked: the name of a fact set."""
    split: str
    """Which part of it."""


@dataclass(frozen=True)
class CardContent:
    """What a card says."""

    title: str
    origin: Origin
    adapter: bool
    """Whether the folder holds an adapter, else a whole model."""
    prompt: str | None
    """The prompt it was trained with, {question} in it; "" for the chat template of its tokenizer; None where nobody
    knows."""
    data: Sequence[tuple[str, str]]
    """What it was trained on, as rows of a table."""
    settings: Mapping[str, object]
    trained: Sequence[str] = ()
    """What the training did, in sentences."""
    changed: Sequence[str] = ()
    """What was done to the weights afterwards (restored, exported), in sentences."""
    scores: Sequence[Score] = ()
    drift: Sequence[str] = ()
    """What the training changed besides, in sentences."""
    datasets: Sequence[str] = field(default=())
    """Names of data sets on the hub."""
    form: str = ""
    """What it was exported to (`recollect export --to`); "" for the folder of a step."""


def training_card(settings: TrainSettings, found: TrainFound, base: Path, source: Path | None) -> CardContent:
    """The card of a training.

    base: the folder of what was trained. source: the select step or the chat data it was trained on, where it is there.
    """
    origin = origin_of(settings.model, base)
    rows = [("examples", f"{found.examples:,}"), ("answer tokens", f"{found.answer_tokens:,}")]
    if found.conversations is not None:
        rows.insert(0, ("conversations", f"{found.conversations:,}"))
        rows += [("from", source.name)] if source else []
    elif source is not None:
        chosen = SelectFound.read(source)
        by_level = [(level, n) for level, n in chosen.by_level.items() if level != "None"]
        if by_level:
            rows.append(("by memory level of the base", ", ".join(f"level {level}: {n:,}" for level, n in by_level)))
        rows.append(("by relation", ", ".join(f"{name}: {n:,}" for name, n in chosen.by_relation.items())))
    values = {
        name: value
        for name, value in settings.model_dump(mode="json").items()
        if name not in _UNSAID and value is not None and (settings.method == "lora" or not name.startswith("lora_"))
    }
    values |= {"learning_rate": found.learning_rate, "epochs": found.epochs}
    return CardContent(
        title=f"{origin.name.rpartition('/')[2]}, fine-tuned on {found.examples:,} examples",
        origin=origin,
        adapter=settings.method == "lora",
        prompt="" if found.prompt == "chat" else settings.prompt_template,
        data=rows,
        settings=values,
        trained=list(_trained(found)),
    )


def restored_card(content: CardContent, found: Mapping[str, object]) -> CardContent:
    """The card of a tuned model, some of whose weights were set back: what a `RestoreFound` says, by name."""
    if found.get("alpha") is not None:
        alpha = float(str(found["alpha"]))
        base = Path(str(found.get("base")))
        if base.name == "model" and (base.parent / MANIFEST).is_file():  # not a base: another trained one
            line = f"Its weights are the mean of {round(1 / alpha)} trainings; what is said here tells of one of them."
            return replace(content, adapter=False, changed=[line])
        kept = f"{100 * alpha:.3g}"
        line = f"After the training every weight was moved back towards the base: {kept} % of its change are kept."
        return replace(content, adapter=False, changed=[*content.changed, line])
    line = (
        f"After the training {found['restored']:,} of {found['of']:,} weights were set back to the base's values "
        f"(`recollect restore`), of which {found['changed']:,} had changed."
    )
    return replace(content, adapter=False, changed=[*content.changed, line])


def _trained(found: TrainFound) -> Iterable[str]:
    if found.first_loss is not None and found.last_loss is not None:
        yield (
            f"{found.steps:,} updates of {found.trained_parameters:,} parameters; the loss on the answers went from "
            f"{found.first_loss:.3f} to {found.last_loss:.3f}."
        )
    else:
        yield "No update was made: the weights are the base's."
    yield from found.warnings


def write_card(folder: Path, content: CardContent) -> None:
    """Write `README.md` into a model's folder."""
    (folder / CARD).write_text(card_text(content), encoding="utf-8")


def is_own_card(file: Path) -> bool:
    """Whether a file is a card that Recollect wrote: it tells of a model and decides nothing of what it says."""
    return file.name == CARD and TAG in (front_matter(file).get("tags") or ())


def card_text(content: CardContent) -> str:
    """The card: entries for the hub, then text. Secrets in what was given are masked."""
    from huggingface_hub import ModelCardData

    origin = content.origin
    data = ModelCardData(
        base_model=origin.hub_id or None,
        base_model_relation=("adapter" if content.adapter else "finetune") if origin.hub_id else None,
        library_name=_LIBRARY.get(content.form, "peft" if content.adapter else "transformers"),
        pipeline_tag="text-generation",
        license=origin.licence or None,
        license_name=origin.licence_name or None,
        license_link=origin.licence_link or None,
        language=list(origin.languages) or None,
        datasets=list(content.datasets) or None,
        tags=[TAG, *_method(content), *(["restored"] if _restored(content) else [])],
        model_name=content.title,
        eval_results=[_entry(score) for score in content.scores] or None,
    )
    return f"---\n{data.to_yaml()}\n---\n\n" + hide_secrets("\n".join(_body(content)))


def _method(content: CardContent) -> list[str]:
    method = content.settings.get("method", "lora" if content.adapter else "")
    return ["lora"] if method == "lora" else ["full-fine-tuning"] if method == "full" else []


def _restored(content: CardContent) -> bool:
    return any("set back to" in line or "moved back towards" in line for line in content.changed)


def _entry(score: Score) -> EvalResult:
    from huggingface_hub import EvalResult

    value, low, high = score.value.percent
    return EvalResult(
        task_type="text-generation",
        dataset_type=re.sub(r"[^\w.\-]+", "-", score.data) or "facts",
        dataset_name=score.data,
        dataset_split=score.split,
        metric_type="accuracy",
        metric_value=round(value, 2),
        metric_name=f"{score.name}, n = {score.value.n:,}, 95 % interval {low:.1f} to {high:.1f}",
    )


def _body(content: CardContent) -> Iterable[str]:
    origin = content.origin
    kind = "A LoRA adapter of" if content.adapter else "A fine-tuned copy of" if content.data else "A copy of"
    where = f"[{origin.hub_id}](https://huggingface.co/{origin.hub_id})" if origin.hub_id else f"`{origin.name}`"
    at = f" at revision `{origin.revision}`" if origin.revision else ""
    yield f"# {content.title}\n"
    yield f"{kind} {where}{at}, made with Recollect {__version__}. {origin.note}".rstrip() + "\n"
    for line in content.changed:
        yield f"{line}\n"
    yield "## How to ask it\n"
    yield from _usage(content)
    if content.data:
        yield "\n## Training data\n"
        yield from _table(("", ""), content.data)
        yield "\n## Training\n"
        yield from (f"{line}\n" for line in content.trained)
        yield from _table(("setting", "value"), [(f"`{k}`", f"`{v}`") for k, v in content.settings.items()])
    yield "\n## Scores\n"
    if content.scores:
        rows = []
        for score in content.scores:
            value, low, high = score.value.percent
            rows.append((score.name, f"{value:.1f}", f"{low:.1f} to {high:.1f}", f"{score.value.n:,}", score.data))
        yield from _table(("what", "%", "95 % interval", "n", "data"), rows)
    else:
        yield _NO_SCORES
    yield "\n## Drift\n"
    yield from content.drift or (
        "Not measured. `recollect drift BASE TUNED` shows what the training changed in tokens and in parameters.",
    )
    yield "\n## Limits\n"
    yield from _limits(content)


def _usage(content: CardContent) -> Iterable[str]:
    if content.prompt is None:
        yield "How it was trained to be asked is not known to this card.\n"
    elif content.prompt:
        yield "It was trained with this prompt, which the answer follows after a blank. Another gets other answers:"
        yield f"\n```text\n{content.prompt}\n```\n"
    else:
        yield "It was trained with the chat template of its tokenizer (`apply_chat_template`); ask it in that.\n"
    if content.form in _ELSEWHERE:
        yield _ELSEWHERE[content.form]
        return
    base = content.origin.hub_id or "THE-BASE"
    lines = ["from transformers import AutoModelForCausalLM, AutoTokenizer", ""]
    if content.adapter:
        lines = ["from peft import PeftModel", *lines, f'base = AutoModelForCausalLM.from_pretrained("{base}")']
        lines += ['model = PeftModel.from_pretrained(base, "THIS-FOLDER")']
    else:
        lines += ['model = AutoModelForCausalLM.from_pretrained("THIS-FOLDER")']
    yield "\n".join(["```python", *lines, 'tokenizer = AutoTokenizer.from_pretrained("THIS-FOLDER")', "```"])


def _limits(content: CardContent) -> Iterable[str]:
    yield "- It can be wrong in the same fluent words in which it is right. Nothing was done about bias or safety."
    yield "- It was trained on few examples; what it says of anything else is its base's, more or less changed by them."
    if not content.origin.licence:
        yield "- The base states no licence that was found beside it. Look it up before you hand this on."
    if not content.origin.hub_id and not content.origin.note:
        yield "- The base was a local folder, so no base model on the hub is named here."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
