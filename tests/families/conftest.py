"""Each family's tiny model is made and loaded once."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import CONFIG_MAPPING
from transformers.models.olmo_hybrid import modeling_olmo_hybrid

from helpers_families import Family, family_model
from helpers_models import loaded
from recollect.models import LoadedModel


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Family], Path]:
    """The folder of a family's model; skips, by name, what the installed libraries do not have."""
    made: dict[str, Path] = {}

    def folder(family: Family) -> Path:
        if family.kind not in CONFIG_MAPPING:
            pytest.skip(f"this transformers has no {family.name} ({family.kind})")
        if family.kind == "olmo_hybrid" and hasattr(modeling_olmo_hybrid, "OlmoHybridDynamicCache"):
            pytest.skip(f"this transformers gives {family.name} a cache of its own: the self-test refuses it in words")
        if family.mixture and not _mixes():
            pytest.skip(f"this torch has no grouped product of experts on a CPU, which {family.name} needs")
        if family.kind not in made:
            made[family.kind] = family_model(tmp_path_factory.mktemp(family.kind) / "model", family, scale=4.0)
        return made[family.kind]

    return folder


@pytest.fixture(scope="session")
def model_of(folder_of: Callable[[Family], Path]) -> Callable[[Family], LoadedModel]:
    """A family's model in memory, shared by the tests: not to be changed."""
    held: dict[str, LoadedModel] = {}

    def model(family: Family) -> LoadedModel:
        folder = folder_of(family)
        if family.kind not in held:
            held[family.kind] = loaded(folder)
        return held[family.kind]

    return model


def _mixes() -> bool:
    one = torch.ones(16, 16)
    try:
        torch._grouped_mm(one, one[None], offs=torch.tensor([16], dtype=torch.int32))
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    return True
