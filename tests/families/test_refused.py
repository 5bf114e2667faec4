"""What cannot be probed is refused by name, from its configuration alone."""

import json
from pathlib import Path

import pytest

from recollect.errors import ModelError
from recollect.models import check_folder

STATE = "keeps a recurrent state instead of the keys and values of attention"
BOTH = "is an encoder-decoder"
ENCODER = "reads in both directions"


@pytest.mark.parametrize(
    ("kind", "why"),
    [(kind, STATE) for kind in ("mamba", "mamba2", "falcon_mamba", "rwkv", "xlstm", "recurrent_gemma")]
    + [(kind, BOTH) for kind in ("t5", "bart", "t5gemma", "whisper", "florence2", "vision-encoder-decoder")]
    + [(kind, ENCODER) for kind in ("bert", "roberta", "modernbert", "deberta-v2")]
    + [("minimax", "keeps a cache of its own")],
)
def test_by_name_before_anything_is_loaded(kind: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    (tmp_path / "model.safetensors").write_bytes(b"not even read")
    with pytest.raises(ModelError, match=f"'{kind}' model, which {why}"):
        check_folder(tmp_path)


@pytest.mark.parametrize(("inside", "why"), [({"model_type": "mamba"}, STATE), ({"is_encoder_decoder": True}, BOTH)])
def test_the_language_part_decides_too(inside: dict[str, object], why: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llava", "text_config": inside}))
    (tmp_path / "model.safetensors").write_bytes(b"not even read")
    with pytest.raises(ModelError, match=why):
        check_folder(tmp_path)
