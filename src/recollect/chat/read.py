"""Conversations of a file or folder, whatever format each row has, with an account of every row.

Notable choices
- A row is used whole or not at all; why it is not has a name that holds none of its words, so equal faults count
  together. `bad_rows` decides whether the first one is an error.
- Which part a row is in (train, test, validation) is said by its column `split`, or by its file's name, as on the Hub.
- Turns alternate: the user, then the assistant, with calls and results of tools between. System turns may stand
  anywhere; a template that takes them nowhere but first refuses the row itself.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from recollect.chat.formats import Found, read_row
from recollect.conversation import Conversation, Part, Turn
from recollect.core.json_object import JsonObject
from recollect.core.numbers import many
from recollect.core.tables import (
    ENDINGS,
    PART_WORDS,
    BadRows,
    BadRowsFound,
    BadRowsMode,
    Row,
    RowError,
    check_ending,
    digest,
    float_column,
    part_by_name,
    read_bytes,
    read_table,
)
from recollect.core.workspace.result import Result
from recollect.errors import InputError

READER_VERSION = 1
"""Raised when the same bytes give other conversations."""

_IDS = ("id", "conversation_id", "prompt_id")
_MEDIA = ("image", "images", "audio", "audios", "video", "videos")
_DEEPEST = 3  # folders inside each other, as data/<config>/ on the Hub


class ConversationsFound(Result):
    """What was read of a file or folder of chat data."""

    files: list[str]
    formats: dict[str, int]
    """Rows of each format, dropped ones left out."""
    columns: dict[str, int]
    """In how many rows each column is filled, in order of first appearance."""
    unused: list[str]
    """Columns that say nothing to us."""
    rows: int
    """All rows, dropped ones too; blank ones are left out."""
    kept: int
    parts: dict[str, int]
    """Conversations by part: train, test, validation."""
    bad_rows: BadRowsFound
    fingerprint: str
    """Hash of the bytes read."""

    @property
    def format(self) -> str:
        """The formats, the first of the file first."""
        return ", ".join(self.formats) or "none"


def read_conversations(
    path: str | Path, bad_rows: BadRowsMode = "error"
) -> tuple[list[Conversation], ConversationsFound]:
    """The conversations at a path, in the order of the rows, and the account of what was read.

    InputError for what cannot be read; with bad_rows "error" for the first row that cannot be used, too, else for a
    source of which no row is left.

    Examples:
        >>> from pathlib import Path
        >>> from recollect import read_conversations
        >>> row = '{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}]}'
        >>> written = Path("chat.jsonl").write_text(f"{row}\\n")
        >>> [talk], found = read_conversations("chat.jsonl")
        >>> found.format, talk.turns[1].role, talk.turns[1].content
        ('sharegpt', 'assistant', 'Hello!')
    """
    path = Path(path)
    bad = BadRows(bad_rows)
    reader = _Reader(bad)
    files = chat_files(path)
    used = []
    for file in files:
        if file.exists():
            check_ending(file)
        data = read_bytes(file)
        used.append((file.name if path.is_dir() else "", data))
        part = part_of(file) if path.is_dir() else "train"
        before = len(bad.found)
        rows = _rows(file, bad, data)
        reader.rows += len(rows) + len(bad.found) - before
        for row in rows:
            reader.read(row, file, part)
    if not reader.found:
        said = "; ".join(f"{count:,} with {reason}" for reason, count in bad.account().reasons.items())
        first = f" The first: {bad.found[0].text}" if bad.found else ""
        raise InputError(f"{path}: no conversation is left of {many(reader.rows, 'row')}: {said}.{first}")
    conversations = _with_distinct_ids(reader.found)
    return conversations, ConversationsFound(
        files=[str(file) for file in files],
        formats=dict(reader.formats),
        columns=dict(reader.columns),
        unused=[name for name in reader.columns if name not in reader.used],
        rows=reader.rows,
        kept=len(conversations),
        parts=dict(Counter(one.part for one in conversations)),
        bad_rows=bad.account(),
        fingerprint=digest(iter(used)),
    )


def chat_files(path: Path) -> list[Path]:
    """The file itself, or the tables of a folder and of the folders in it, in the order of their names."""
    if not path.is_dir():
        return [path]
    if (path / "manifest.json").is_file():
        raise InputError(f"{path} is a step directory, not data. Give the file or folder with the conversations.")
    found = [
        file
        for file in sorted(path.rglob("*"))
        if file.suffix.lower() in ENDINGS
        and file.is_file()
        and len(parts := file.relative_to(path).parts) <= _DEEPEST
        and not any(part.startswith(".") for part in parts)
        and file.name not in ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
    ]
    if not found:
        arrow = any(path.rglob("*.arrow"))
        hint = "Its .arrow files are of save_to_disk: write them with to_parquet." if arrow else "Give another folder."
        raise InputError(f"{path} holds no file that ends in {', '.join(ENDINGS)}. {hint}")
    return found


def part_of(file: Path) -> Part:
    """The part that a file's name says, as on the Hub (test-00000-of-00001.parquet); train where it says none."""
    return part_by_name(file) or "train"


def _rows(file: Path, bad: BadRows, data: bytes) -> list[Row]:
    try:
        table = read_table(file, bad, data)
    except InputError:
        if bad.mode == "skip" and bad.found:
            return []  # none but bad ones, which are counted
        raise
    return _as_stored(table.rows, table.columns) if table.text_cells else table.rows


def _as_stored(rows: list[Row], columns: Sequence[str]) -> list[Row]:
    """Rows of a CSV, with 1969 for the 1969.0 that pandas makes of whole numbers in a column with gaps."""
    floats = {name for name in columns if float_column([row.values.get(name) or "" for row in rows])}
    if not floats:
        return rows
    return [
        Row(
            where, {name: text.removesuffix(".0") if text and name in floats else text for name, text in values.items()}
        )
        for where, values in rows
    ]


class _Reader:
    """Row by row to conversations, with counts."""

    def __init__(self, bad: BadRows) -> None:
        self.bad = bad
        self.found: list[Conversation] = []
        self.formats: Counter[str] = Counter()
        self.columns: Counter[str] = Counter()
        self.used: set[str] = {"split", *_IDS}
        self.rows = 0

    def read(self, row: Row, file: Path, part: Part) -> None:
        self.columns.update({name: int(value is not None and value != "") for name, value in row.values.items()})
        place = f"{file}: {row.where}"
        try:
            found = read_row(row.values)
            self.used |= found.used
            _check_media(row.values)
            conversation = _conversation(row.values, found, f"{file.name}: {row.where}", part)
        except RowError as error:
            self.bad.add(row.where, RowError(error.reason, f"{place}: {error}"))
            return
        self.formats[found.format] += 1
        self.found.append(conversation)


def _conversation(values: JsonObject, found: Found, source: str, part: Part) -> Conversation:
    draft = found.draft
    check_turns(draft.turns)
    if draft.train_on == ():
        raise RowError("nothing to learn", "every assistant turn has the weight 0, so that nothing is learned.")
    own = next((str(values[key]) for key in _IDS if isinstance(values.get(key), str | int) and values[key] != ""), "")
    made = Conversation(own, tuple(draft.turns), draft.tools, draft.train_on, source, _part(values, part))
    return made if own else replace(made, id=content_id(made))


def _part(values: JsonObject, part: Part) -> Part:
    said = values.get("split")
    if not isinstance(said, str) or not said.strip():
        return part
    word = re.split(r"[^A-Za-z]+", said.strip().lower())[0]
    if word not in PART_WORDS:
        raise RowError("unknown split", f"split must be train, test or validation, but is {said[:60]!r}.")
    return PART_WORDS[word]


def _check_media(values: JsonObject) -> None:
    for key in _MEDIA:
        if values.get(key):
            raise RowError(
                f"{key.rstrip('s')} content", f"the column {key} holds {key}; only text can be learned here."
            )


def check_turns(turns: list[Turn]) -> None:
    """RowError for turns that are no conversation: none of the assistant, an empty one, two of one side in a row."""
    if not any(turn.role == "assistant" for turn in turns):
        raise RowError("no assistant turn", "there is no assistant turn. Remove the row or add the answer.")
    before = ""
    for number, turn in enumerate(turns, start=1):
        if not turn.content.strip() and not turn.tool_calls and turn.role in ("user", "assistant"):
            what = "question" if turn.role == "user" else "answer"
            raise RowError(f"empty {what}", f"turn {number} ({turn.role}) is empty. Fill it in or remove the row.")
        if turn.role == "system":
            continue
        if before not in _FOLLOWS[turn.role]:
            after = f"follows one of {before}" if before else "is the first"
            raise RowError(
                "roles that do not alternate",
                f"turn {number} is of {turn.role} and {after}; after the user's turn must come the assistant's, and "
                "the results of tools after an assistant's.",
            )
        before = turn.role


_FOLLOWS = {"user": ("", "assistant"), "assistant": ("user", "tool"), "tool": ("assistant", "tool")}


def content_id(conversation: Conversation) -> str:
    """A hash of the turns and tools as written; the same wherever the row stands."""
    content = [conversation.as_messages(), list(conversation.tools)]
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()


def _with_distinct_ids(conversations: list[Conversation]) -> list[Conversation]:
    """Ids that several rows have are made their own: a count is added from the second on."""
    seen: Counter[str] = Counter()
    taken = {one.id for one in conversations}
    made = []
    for one in conversations:
        seen[one.id] += 1
        id = one.id
        while seen[one.id] > 1 and id in taken:
            id = f"{one.id}-{seen[one.id]}"
            if id in taken:
                seen[one.id] += 1
        taken.add(id)
        made.append(one if id == one.id else replace(one, id=id))
    return made
