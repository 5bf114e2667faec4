"""From text to token ids and back: the one place where prompts and answers are tokenised, for every step.

Also which token paths are right answers: an accepted form counts if its tokens, decoded, are judged right as text. A
tokenizer that lower-cases, normalises or lacks a word writes another text than it was given; what it wrote is judged,
by the one matcher (`match.contains`), as sampled and greedy answers are. A form that it cannot write is no path.

Notable choices
- A prompt is its begin tokens and its text; nothing is put after it, whatever the tokenizer appends by itself.
- The begin tokens are those that the tokenizer puts before a text; where it puts none, its begin token, if it has one.
- No text becomes a special token: a question that holds `</s>` cannot end its own prompt.
- An answer is encoded together with its prompt, as a model meets both in running text; where that would change the
  prompt's own ids, it is encoded after another text that it leaves as it is. Training, evaluation, scoring and drawing
  share this one boundary.
- A prompt that ends in white space has had its blank: the answer follows it directly.
- A text longer than the model's context is refused before any work: rotary models would give numbers without a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recollect.core.native import careful
from recollect.errors import InputError
from recollect.generate.engine import Vocabulary
from recollect.match import COUNTED_WRONG, contains, written_without_blanks
from recollect.match.text import folded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_LENGTH_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length")
BLANK = " "
"""What stands between a prompt and its answer, unless something else is asked for."""
_NAMED = 3
_OPENING = tuple("\"'“‘«„([{")  # a prompt that ends in one of these has begun the answer
_ANCHORS = ("a", ":", ".", "1", "\n")  # texts to put before an answer that would change the ids of its own prompt


def begin_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids that stand before every prompt: what the tokenizer itself puts there.

    One that puts nothing gets its begin token, unless it has a chat template: then that token opens a turn of a chat
    (`<|im_start|>`), which plain text is not. SmolLM2 answers otherwise after it (see LOG.md, 2026-11-26).
    """
    for text in _ANCHORS:  # a small vocabulary may lack some of them
        marked, plain = list(tokenizer.encode(text)), list(tokenizer.encode(text, add_special_tokens=False))
        for at in range(1, len(marked) - len(plain) + 1 if plain else 0):
            if marked[at : at + len(plain)] == plain:
                return marked[:at]
        if plain:
            break
    if tokenizer.bos_token_id is None or tokenizer.chat_template:
        return []
    return [int(tokenizer.bos_token_id)]


def text_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """The ids of each text alone: nothing before it, nothing after it, no special token inside."""
    if not texts:
        return []
    with careful("the model's tokenizer"):
        found: list[list[int]] = tokenizer(
            list(texts),
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )["input_ids"]
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    return [
        list(ids) if special.isdisjoint(ids) else _split(tokenizer, text, list(ids), special)
        for text, ids in zip(texts, found, strict=True)
    ]


def prompt_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """The ids of each text as a prompt, begin tokens first. InputError when a prompt would have no token at all."""
    begin = begin_ids(tokenizer)
    found = [begin + ids for ids in text_ids(tokenizer, texts)]
    for text, ids in zip(texts, found, strict=True):
        if not ids:
            raise InputError(f"the tokenizer has no tokens for the prompt {text[:80]!r}. Use another prompt or model.")
    return found


def answer_ids(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], answers: Sequence[str], lead: str = BLANK
) -> list[tuple[list[int], list[int]]]:
    """(ids of the prompt, ids of the answer as it follows the prompt) of each pair; `lead` stands before the answer.

    A blank that the lead begins with falls away after a prompt that ends in white space.
    """
    given = prompt_ids(tokenizer, prompts)
    begin = len(begin_ids(tokenizer))
    said = [
        lead.removeprefix(" " if prompt[-1:].isspace() else "") + answer
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    together = text_ids(tokenizer, [prompt + text for prompt, text in zip(prompts, said, strict=True)])
    found = []
    for prompt, whole, text in zip(given, together, said, strict=True):
        own = prompt[begin:]
        follows = whole[: len(own)] == own and len(whole) > len(own)
        found.append((prompt, whole[len(own) :] if follows else ids_after(tokenizer, own, text)))
    return found


def ids_after(tokenizer: PreTrainedTokenizerBase, own: Sequence[int], text: str) -> list[int]:
    """The ids of a text after ids that are kept as they are, though both written together would have others.

    A tokenizer may put a blank of its own before a text that stands alone, so the ids are taken from behind an anchor:
    the first whose ids stay, and after which both are read back with the white space that the text begins with.
    """
    white = len(text) - len(text.lstrip())
    before = decode(tokenizer, own)
    found = []
    for anchor in _ANCHORS:
        alone, whole = text_ids(tokenizer, [anchor, anchor + text])
        if alone and whole[: len(alone)] == alone and len(whole) > len(alone):
            found.append(whole[len(alone) :])
    found += text_ids(tokenizer, [text])
    for ids in found:
        after = decode(tokenizer, [*own, *ids]).removeprefix(before)
        if len(after) - len(after.lstrip()) == white:
            return ids
    return found[0]


def decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """The text of generated ids, as it is judged: without special tokens, blanks as the model wrote them."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


class TokenizerVocabulary:
    """A Hugging Face tokenizer as an engine's vocabulary."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer

    def encode(self, prompts: Sequence[str]) -> list[list[int]]:
        """See `prompt_ids`."""
        return prompt_ids(self.tokenizer, prompts)

    def encode_answers(
        self, prompts: Sequence[str], answers: Sequence[str], lead: str = BLANK
    ) -> list[tuple[list[int], list[int]]]:
        """See `answer_ids`."""
        return answer_ids(self.tokenizer, prompts, answers, lead)

    def decode(self, ids: Sequence[int]) -> str:
        """See `decode`."""
        return decode(self.tokenizer, ids)


def context_limit(config: Any) -> int | None:
    """The most tokens that a model with this configuration was made to read; None when it states no limit."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    stated = [getattr(text, name, None) for name in _LENGTH_NAMES]
    limits = [value for value in stated if isinstance(value, int) and value > 0]
    if not limits:
        return None
    scaling = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    factor = scaling.get("factor") if isinstance(scaling, dict) else None
    if not isinstance(factor, int | float) or factor <= 1:
        return max(limits)
    original = scaling.get("original_max_position_embeddings")
    return max(*limits, int(factor * (original or max(limits))))


def check_context(
    limit: int | None, ids: Sequence[Sequence[int]], names: Sequence[str], new_tokens: int = 0, remedy: str = ""
) -> None:
    """Refuse texts that, with the tokens to come, are longer than the context `limit`: InputError names the longest."""
    if limit is None or not ids:
        return
    lengths = [len(row) + new_tokens for row in ids]
    over = sum(length > limit for length in lengths)
    if not over:
        return
    longest = max(range(len(ids)), key=lengths.__getitem__)
    coming = f" and {new_tokens} new ones" if new_tokens else ""
    raise InputError(
        f"{names[longest]} has {len(ids[longest]):,} tokens{coming}, but the model's context holds {limit:,}; "
        f"{over:,} of {len(ids):,} texts do not fit. {remedy or 'Shorten the text or take a model with more context.'}"
    )


@dataclass(frozen=True, slots=True)
class Paths:
    """One prompt's ids, and the ids of each accepted form after it whose text is right."""

    prompt: tuple[int, ...]
    right: tuple[tuple[int, ...], ...]

    @property
    def shortest(self) -> int | None:
        """Tokens of the shortest right path; None when the tokenizer can write no accepted form."""
        return min(map(len, self.right), default=None)


@dataclass(frozen=True)
class Unreachable:
    """Facts whose accepted forms are all out of reach, by their answers: their score of 0 says nothing of the model."""

    not_writable: list[str]
    """What comes out of the tokenizer is judged wrong (unknown words, changed letters)."""
    too_long: list[str]
    """Every form that it can write has more tokens than a completion may have."""
    notes: list[str]
    """A line for each kind that occurs."""


def accepted_paths(
    vocabulary: Vocabulary,
    prompts: Sequence[str],
    accepted: Sequence[Sequence[str]],
    leads: Sequence[str] = (BLANK,),
) -> list[Paths]:
    """For each prompt, its ids and the right paths of its accepted forms, after a blank and after each other lead.

    First the forms after a blank, encoded with their own prompt, in the order of the forms. Then those after the other
    leads; these hang little on the prompt and are encoded once a form. Where no blank is to be expected (the prompt
    has opened a quote or bracket, or one of the two is of a script without blanks) also the forms without one. Each
    is a path only if its text is judged right, so a form in other capitals is none. The paths of a prompt may start one
    another (see `prefix_free`).
    """
    texts = [(prompt, form) for prompt, forms in zip(prompts, accepted, strict=True) for form in forms]
    encoded = iter(_encoded(vocabulary, texts))
    first = {form: prompt for prompt, form in reversed(texts)}
    led: dict[str, list[tuple[int, ...]]] = {form: [] for form in first}
    for lead in (one for one in leads if one != BLANK):
        once = _encoded(vocabulary, [(prompt, form) for form, prompt in first.items()], lead)
        for form, (_, path) in zip(first, once, strict=True):
            if folded(vocabulary.decode(path)).startswith(folded(lead)):  # a small vocabulary may lack the lead
                led[form].append(path)
    touching = [pair for pair in dict.fromkeys(texts) if _touch(*pair)]
    close = {pair: path for pair, (_, path) in zip(touching, _encoded(vocabulary, touching, ""), strict=True)}
    verdicts: dict[tuple[tuple[int, ...], tuple[str, ...]], bool] = {}
    found = []
    for prompt, forms in zip(prompts, accepted, strict=True):
        pairs = [next(encoded) for _ in forms]
        paths = [path for _, path in pairs]
        paths += [close[prompt, form] for form in forms if (prompt, form) in close]
        paths += [path for form in forms for path in led[form]]
        right = []
        for path in dict.fromkeys(paths):
            key = (path, tuple(forms))
            if key not in verdicts:
                verdicts[key] = bool(path) and contains(vocabulary.decode(path), forms)
            if verdicts[key]:
                right.append(path)
        found.append(Paths(pairs[0][0], tuple(right)))
    return found


def _encoded(
    vocabulary: Vocabulary, pairs: Sequence[tuple[str, str]], lead: str = BLANK
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    found = vocabulary.encode_answers([prompt for prompt, _ in pairs], [form for _, form in pairs], lead)
    return [(tuple(prompt), tuple(path)) for prompt, path in found]


def _touch(prompt: str, form: str) -> bool:
    """Whether an answer may follow its prompt without a blank."""
    return prompt.endswith(_OPENING) or any(map(written_without_blanks, prompt[-1:] + form[:1]))


def unreachable(answers: Sequence[str], shortest: Sequence[int | None], limit: int) -> Unreachable:
    """Sort out the facts (by answer and tokens of its shortest right path) that no completion of `limit` can answer."""
    pairs = list(zip(answers, shortest, strict=True))
    not_writable = [answer for answer, length in pairs if length is None]
    too_long = [answer for answer, length in pairs if length is not None and length > limit]
    reasons = (
        (
            too_long,
            f"longer than max_new_tokens={limit} in this tokenizer, in every accepted form, and {COUNTED_WRONG}. "
            "Raise --max-new-tokens (auto takes the length of the answers).",
        ),
        (
            not_writable,
            f"not writable by this tokenizer (unknown words or changed letters), and {COUNTED_WRONG}. Leave the facts "
            "out or take another model.",
        ),
    )
    notes = []
    for some, reason in reasons:
        named = ", ".join(repr(answer[:60]) for answer in some[:_NAMED]) + (", …" if len(some) > _NAMED else "")
        are = "is" if len(some) == 1 else "are"
        notes += [f"{len(some):,} of {len(pairs):,} answers ({named}) {are} {reason}"] if some else []
    return Unreachable(not_writable, too_long, notes)


def _split(tokenizer: PreTrainedTokenizerBase, text: str, ids: list[int], special: set[int]) -> list[int]:
    """The ids with the words cut in two that the vocabulary itself holds as a special token (word-level, unigram)."""
    if not tokenizer.is_fast:
        return ids
    spans = tokenizer(text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
    for token, (start, stop) in zip(spans["input_ids"], spans["offset_mapping"], strict=True):
        name = str(tokenizer.convert_ids_to_tokens(token))
        if token in special and stop - start > 1 and text[start:stop].strip().casefold() == name.casefold():
            parts = text_ids(tokenizer, [text[: stop - 1], text[stop - 1 :]])
            return parts[0] + parts[1]
    return ids
