"""ollama: a GGUF file and a Modelfile with the chat template in Ollama's language, the end texts and the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recollect.errors import ModelError
from recollect.export.chat_pieces import NotInPiecesError, Pieces, take_apart
from recollect.export.exporter import Job, Prompt, Written
from recollect.export.gguf import Gguf, ask_gguf, write_gguf
from recollect.models.files import read_json
from recollect.models.whole import bare_model, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MODELFILE = "Modelfile"
_SAMPLED = {"temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "min_p": "min_p"}


class Ollama(Gguf):
    """A folder to run `ollama create NAME` in. The check renders chats as the Modelfile does and runs the file."""

    def write(self, job: Job, target: Path, work: Path) -> Written:
        """The file, and the Modelfile beside it."""
        file, outtype = write_gguf(job, target, work)
        tokenizer = load_tokenizer(job.ref.whole, job.ref.runs_code)
        pieces, notes = pieces_of(tokenizer)
        text = modelfile(file.name, pieces, stop_texts(tokenizer, job.ref.whole), _parameters(job.ref.whole))
        (target / MODELFILE).write_text(text, encoding="utf-8")
        notes.append(f"in that folder: ollama create {job.name.lower()}, then ollama run {job.name.lower()}")
        notes.append(
            "the check ran the file through llama.cpp with prompts as the Modelfile writes them; not Ollama itself"
        )
        return Written(target, tuple(notes), f"Converted to GGUF ({outtype}) for Ollama by llama.cpp's converter.")

    def ask(self, job: Job, written: Written, prompts: Sequence[Prompt]) -> list[str]:
        """By llama-cpp-python, each chat as the Modelfile's template writes it."""
        pieces, _ = pieces_of(load_tokenizer(job.ref.whole, job.ref.runs_code))
        as_written = [
            Prompt(prompt.question, pieces.render(prompt.messages)) if pieces and prompt.messages else prompt
            for prompt in prompts
        ]
        return ask_gguf(job, next(written.path.glob("*.gguf")), as_written)


def pieces_of(tokenizer: PreTrainedTokenizerBase) -> tuple[Pieces | None, list[str]]:
    """The chat template in pieces, and what is to be said of it; None where there is none, or it has no pieces."""
    if not tokenizer.chat_template:
        return None, [
            "the model has no chat template: Ollama sends it the bare text (use /api/generate with raw: true)"
        ]

    def render(messages: Sequence[Any], answer: bool) -> str:
        return str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=answer))

    try:
        pieces = take_apart(render, str(tokenizer.bos_token or ""))
    except NotInPiecesError as error:
        return None, [
            f"the chat template could not be written in Ollama's language, since {error}. The Modelfile has no "
            "TEMPLATE: Ollama takes its own for models it knows; compare `ollama show --template`"
        ]
    return pieces, [] if pieces.system else [
        "the chat template has no place for a system text, so a system text is left out"
    ]


def modelfile(file: str, pieces: Pieces | None, stops: Sequence[str], parameters: Sequence[tuple[str, object]]) -> str:
    """The Modelfile of a GGUF file beside it."""
    lines = [f"FROM ./{file}"]
    if pieces:
        lines.append(f'TEMPLATE """{go_template(pieces)}"""')
        if pieces.default_system:
            lines.append(f'SYSTEM """{pieces.default_system}"""')
    lines += [f'PARAMETER stop "{stop}"' for stop in stops]
    lines += [f"PARAMETER {name} {value}" for name, value in parameters]
    return "\n".join(lines) + "\n"


def go_template(pieces: Pieces) -> str:
    """The pieces in Go's template language, as Ollama gives it messages. The begin token is left to the file."""
    roles = [("system", pieces.system), ("user", pieces.user), ("assistant", pieces.assistant)]
    parts, first = [], True
    for role, around in roles:
        if around is None:
            continue
        after = _go(around[1])
        if role == "assistant":  # an answer that has begun goes on
            after = f"{{{{ if not $last }}}}{after}{{{{ end }}}}"
        condition = f'{{{{ {"if" if first else "else if"} eq .Role "{role}" }}}}'
        parts.append(f"{condition}{_go(around[0])}{{{{ .Content }}}}{after}")
        first = False
    answer = f'{{{{ if and $last (ne .Role "assistant") }}}}{_go(pieces.answer)}{{{{ end }}}}'
    return (
        "{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"
        + "".join(parts)
        + "{{ end }}"
        + answer
        + "{{ end }}"
    )


def _go(text: str) -> str:
    if '"""' in text:
        raise ModelError("the chat template holds three quotes in a row, which a Modelfile cannot.")
    return text.replace("{{", '{{ "{{" }}')


def stop_texts(tokenizer: PreTrainedTokenizerBase, folder: Path) -> list[str]:
    """The texts of the tokens that end an answer."""
    file = folder / "generation_config.json"
    stated = read_json(file).get("eos_token_id") if file.is_file() else None
    listed = [tokenizer.eos_token_id, *(stated if isinstance(stated, list) else [stated])]
    config = bare_model(folder).config.eos_token_id
    listed += config if isinstance(config, list) else [config]
    ids = dict.fromkeys(token for token in listed if isinstance(token, int))
    return [text for text in (str(tokenizer.convert_ids_to_tokens(token)) for token in ids) if '"' not in text]


def _parameters(folder: Path) -> list[tuple[str, object]]:
    """What the model's own generation settings say; where they do not sample, greedy, which Ollama would not do."""
    file = folder / "generation_config.json"
    values = read_json(file) if file.is_file() else {}
    penalty = ("repeat_penalty", values.get("repetition_penalty") or 1.0)
    if not values.get("do_sample"):
        return [("temperature", 0), penalty]
    found: list[tuple[str, object]] = [
        (name, values[key]) for key, name in _SAMPLED.items() if isinstance(values.get(key), int | float)
    ]
    return [*found, penalty]
