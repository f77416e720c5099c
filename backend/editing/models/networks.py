"""Reading the networks of a pipeline's folder, none of it left to chance.

diffusers and transformers give a weight that a file lacks random numbers, and a tokenizer without
its files no words, with no more than a line in the log.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from backend.errors import BadInput

COPY = "take another copy of the model"


def read_networks(
    folder: Path, kinds: Mapping[str, type], dtypes: Mapping[str, torch.dtype]
) -> dict[str, Any]:
    """The networks of a pipeline by their names, those that its index has; on the CPU.

    Args:
        folder: with a model_index.json; weights as safetensors only.
        kinds: the class of each network, of diffusers or transformers.
        dtypes: the precision of each.

    Raises:
        OSError, ValueError: files are missing or cannot be read.
        BadInput: a network is of another class, or its weights are not those of its config.
    """
    index = json.loads((folder / "model_index.json").read_text("utf-8"))
    found = {}
    for name, kind in kinds.items():
        entry = index.get(name)
        named = entry[-1] if isinstance(entry, list) and entry else None
        if named is None:  # the pipeline says whether it can do without
            continue
        if named != kind.__name__:
            raise BadInput(f"The {name} of {folder} is a {named}, not a {kind.__name__}: {COPY}.")
        found[name] = read_network(folder, name, kind, dtypes[name])
    return found


def read_network(folder: Path, name: str, kind: Any, dtype: torch.dtype) -> Any:
    """The network of a pipeline's folder in the subfolder `name`; as `read_networks`."""
    wrong = f"The weights in {folder / name} are not those that its config.json describes"
    try:
        network, info = kind.from_pretrained(
            folder / name,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except RuntimeError as error:  # weights of other shapes
        raise BadInput(f"{wrong}: {COPY}. ({str(error).splitlines()[0]})") from error
    if missing := sorted(info["missing_keys"]):
        raise BadInput(f"{wrong}: {missing[0]} is missing, one of {len(missing)}; {COPY}.")
    return network


def lay_out(network: Any, device: torch.device) -> None:
    """Lay a network's convolutions out as its device computes them fastest; on a CPU channels last,
    which changes results by rounding alone. What it gives on GPUs was not measured.
    """
    if device.type == "cpu":
        network.to(memory_format=torch.channels_last)


def check_tokenizer(folder: str, tokenizer: Any, encoder: Any) -> None:
    """Refuse a tokenizer that does not know the words of its text encoder.

    Args:
        folder: of the model, as it is named to people.
        tokenizer: or None.
        encoder: a text encoder of transformers.

    Raises:
        BadInput: it does not.
    """
    config = encoder.config
    if (
        tokenizer is None
        or tokenizer.model_max_length > config.max_position_embeddings
        or not len(set(tokenizer.all_special_ids)) < len(tokenizer) <= config.vocab_size
    ):
        raise BadInput(
            f"{folder} has no tokenizer that fits its text encoder: {COPY}, with all files of its "
            "tokenizer's folder."
        )
