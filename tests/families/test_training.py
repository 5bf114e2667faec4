"""Training, drift's reading of weights and restoration, for one family of each kind."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import pairs
from helpers_families import FAMILIES, Family
from helpers_models import loaded, nudged
from recollect.models import ModelRef
from recollect.train import TrainSettings
from recollect.train.lora import with_adapters
from recollect.train.model import load_base
from recollect.train.trainer import Setup, Watch, build_trainer, quiet
from recollect.weights import open_pair
from recollect.weights.pair import layer_of

FolderOf = Callable[[Family], Path]
EXAMPLES = [
    ([1, 5, 9, 200, 30, 31, 17, 90, 2], [0, 0, 0, 0, 0, 0, 1, 1, 1]),
    ([1, 77, 8, 40, 2], [0, 0, 0, 1, 1]),
    ([1, 33, 100, 9, 7, 61, 2], [0, 0, 0, 0, 0, 1, 1]),
]
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


@every_family
@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_padded_batch_has_the_loss_and_gradient_of_its_rows_alone(
    family: Family, method: str, folder_of: FolderOf, tmp_path: Path
) -> None:
    folder = folder_of(family)
    settings = TrainSettings.make(
        model=str(folder), device="cpu", method=method, batch_size=3, lora_targets="all-linear"
    )
    model, tokenizer, _ = load_base(settings, ModelRef.at(folder, None, False), None)
    model.config.use_cache = False
    if method == "lora":
        with quiet("cpu"):
            model = with_adapters(model, settings, []).model
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_B" in name:
                    weight.normal_(0, 0.1)
    with quiet("cpu"):
        trainer = build_trainer(model, tokenizer, EXAMPLES, Setup(settings, "cpu", False, 1, tmp_path), Watch(None))
        batch = trainer.data_collator([trainer.train_dataset[at] for at in range(3)])
        assert batch["input_ids"].shape == (3, 9)
        loss = trainer.compute_loss(trainer.model.eval(), dict(batch))
        loss.backward()
    found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    tokens = sum(sum(mask) for _, mask in EXAMPLES)
    total = torch.zeros(())
    for ids, mask in EXAMPLES:
        logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
        said = torch.tensor([token if counts else -100 for token, counts in zip(ids, mask, strict=True)][1:])
        total = (
            total + torch.nn.functional.cross_entropy(logits.float(), said, ignore_index=-100, reduction="sum") / tokens
        )
    total.backward()
    assert float(loss.detach()) == pytest.approx(float(total.detach()), abs=1e-4)
    alone = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    largest = max(float(grad.abs().max()) for grad in alone.values())
    assert largest > 1e-3
    for name, grad in alone.items():
        assert (found.get(name, torch.zeros(())) - grad).abs().max() < 1e-3 * largest


@every_family
def test_drift_reads_every_weight_and_restoration_is_exact_at_both_ends(
    family: Family, folder_of: FolderOf, tmp_path: Path
) -> None:
    base = folder_of(family)
    tuned = Path(nudged(tmp_path / "tuned", str(base), by=0.01))
    with open_pair(base, tuned) as pair:
        assert not pair.warnings and not pair.unrankable
        counted = sum(pair.sizes.values())
        assert {layer_of(name) for name in pair.sizes} == {None, 0, 1}
    held = {weight.data_ptr(): weight.numel() for weight in loaded(base).model.state_dict().values()}  # tied ones once
    assert counted == sum(held.values())
    before = [pairs.read(base), pairs.read(tuned)]
    for percent, wanted in ((0, before[1]), (100, before[0])):
        found = pairs.read(pairs.restore(base, tuned, percent, region="all", out=tmp_path / str(percent)).model)
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name].view(torch.uint8), wanted[name].view(torch.uint8)) for name in wanted)
