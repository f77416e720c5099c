"""Which models a backend on this machine would have to download."""

import os
from pathlib import Path

from ..data.reachable import is_folder
from ..protocol.folders import typed_path
from ..protocol.model_choices import MODEL_CHOICES


def hub_id(model: str) -> str:
    """What a server downloads for that `--model` where it is not here; "" for nothing."""
    for one in MODEL_CHOICES:
        if one.model == model:
            return one.hub_id
    is_local = model.startswith((".", "~", "/")) or is_folder(Path(model))
    return "" if is_local or model.count("/") != 1 else model


def is_here(model: str) -> bool:
    """Whether all of a hub id's files are on this machine, for all that its folder tells."""
    folder = _hub_cache() / f"models--{model.replace('/', '--')}"
    whole = any(folder.glob("snapshots/*/model_index.json"))
    return whole and not any(folder.glob("blobs/*.incomplete"))


def _hub_cache() -> Path:
    """Where huggingface_hub keeps what it has downloaded."""
    chosen = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if chosen:
        return typed_path(chosen)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = os.environ.get("HF_HOME")
    return (typed_path(home) if home else cache / "huggingface") / "hub"


def question(model: str) -> str:
    """What is to be asked before a server starts with that `--model`; "" where nothing is to be
    downloaded.
    """
    wanted = hub_id(model)
    if not wanted or is_here(wanted):
        return ""
    size = next((one.download for one in MODEL_CHOICES if one.hub_id == wanted), "several GB")
    return f"{wanted} is downloaded once, {size}. To look around without it, choose Demo Model."
