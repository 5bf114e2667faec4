"""The caches of the families: rows are kept, repeated and reordered with all that a layer remembers."""

from pathlib import Path

import pytest
import torch

from helpers_families import FAMILIES, Family, family_model
from helpers_models import loaded
from recollect.generate.state import prefill

PROMPT, OTHER = [1, 5, 9, 200, 30, 31], [1, 77, 8, 4, 4, 100]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_selected_rows_go_on_as_if_read_alone(family: Family, tmp_path: Path) -> None:
    model = loaded(family_model(tmp_path / "model", family, scale=4.0)).model
    state = prefill(model, [PROMPT, OTHER], 0)
    state.select(torch.tensor([1, 0]))  # as many rows as before: a layer left behind would go unnoticed
    state.read(torch.tensor([[3], [4]]))
    state.select(torch.tensor([0, 1, 1]))
    found = state.read(torch.tensor([[6, 7], [6, 7], [8, 9]]), keep=2)
    with torch.inference_mode():
        for row, ids in enumerate([[*OTHER, 3, 6, 7], [*PROMPT, 4, 6, 7], [*PROMPT, 4, 8, 9]]):
            alone = model(input_ids=torch.tensor([ids])).logits[0, -2:]
            assert torch.allclose(found[row], alone, atol=1e-4)
            assert (found[row] - alone).abs().max() < 1e-3 * alone.std()
