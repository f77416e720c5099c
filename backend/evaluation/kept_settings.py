"""The settings that an evaluation's records were made with, beside them: other ones are refused."""

from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from backend.editing.models.denoiser import ModelCard
from backend.errors import BadInput
from backend.fields.checkpoint import fingerprint
from backend.records import read_record
from protocol import files

SETTINGS_FILE = "settings.json"
LOOKED_AT = 16
"""Numbers of each tensor of a network, spread over it, by which two networks are told apart."""


def check_settings(folder: Path, settings: dict[str, Any], later: Sequence[str] = ()) -> None:
    """Keep the settings beside the records, or refuse a folder with others.

    Args:
        folder: of the records.
        settings: what they all share.
        later: the settings that may be added later, and left out again: texts, "" without one.

    Raises:
        BadInput: it holds records of other settings.
    """
    path = folder / SETTINGS_FILE
    if not path.is_file():
        files.make_folder(folder)
        files.write_json(path, settings)
        return
    before = read_record(path, dict[str, Any])
    for name in later:
        if not before.get(name):  # nothing was made with one yet
            before[name] = settings[name]
            files.write_json(path, before)
    for name in settings | before:  # also those that this command leaves as they are by default
        value = settings.get(name)
        if before.get(name) != value and (name not in later or value):
            raise BadInput(
                f"The edits in {folder} were made with {name.replace('_', ' ')} "
                f"{before.get(name)!r}, not {value!r}: name another --out."
            )


def contents_of(**models: object) -> dict[str, str]:
    """For each model a setting that tells it from others of its name, as it is before and after it
    was trained on: by its networks' weights, and the guidance that it is best used with. For each
    that is None "".
    """
    return {
        f"{name}_contents": "" if model is None else fingerprint(*_numbers(model))
        for name, model in models.items()
    }


def _numbers(model: object) -> list[NDArray[np.floating]]:
    card = getattr(model, "card", None)
    found: list[NDArray[np.floating]] = []
    if isinstance(card, ModelCard):
        found.append(np.array(astuple(card.guidance)))
    networks = {n: part for n, part in vars(model).items() if isinstance(part, nn.Module)}
    for name in sorted(networks):
        for value in networks[name].state_dict().values():
            flat = value.reshape(-1)
            every = max(1, flat.numel() // LOOKED_AT)
            found.append(flat[::every].float().cpu().numpy())
    return found
