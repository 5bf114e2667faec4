"""Documents of the shop corpus as rows of tokens, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Row = tuple[list[int], int]  # the tokens of a document, and how many of them are the page (the begin token with it)


def collate(batch: Sequence[Row], pad: int) -> dict[str, torch.Tensor]:
    """input_ids and labels of shape [rows, longest]; labels are -100 on the page and on padding."""
    import torch

    longest = max(len(ids) for ids, _ in batch)
    ids = torch.full((len(batch), longest), pad)
    labels = torch.full((len(batch), longest), -100)
    for at, (row, page) in enumerate(batch):
        ids[at, : len(row)] = torch.tensor(row)
        labels[at, page : len(row)] = torch.tensor(row[page:])
    return {"input_ids": ids, "labels": labels}
