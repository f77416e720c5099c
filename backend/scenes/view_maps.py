"""The relevance maps of a scene's views, and how they are kept on the disk."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.editing import RelevanceMap
from backend.editing.prompt_check import Agreement
from backend.fields.facts import CheckpointError
from protocol import files


def map_file(folder: Path, view: int) -> Path:
    """Where the map of a view is kept in the folder of an edit's maps, by the view's number."""
    return folder / f"{view:04d}.npz"


def write_map(path: Path, found: RelevanceMap) -> None:
    """Keeps a map; the file appears in one step."""
    with files.replacing(path) as file:
        np.savez(file, allow_pickle=False, **_map_arrays(found))


def _map_arrays(found: RelevanceMap) -> dict[str, NDArray[Any]]:
    unknown = found.evidence is None
    return {
        "values": found.values,
        "raw": found.raw,
        "spread": found.spread,
        "extent": np.array(found.extent, np.float64),
        "suggested_threshold": np.array(found.suggested_threshold, np.float64),
        "agreement": np.array(
            [] if found.agreement is None else [found.agreement.shared, found.agreement.own],
            np.float64,
        ),
        "check": np.array([] if unknown else [found.evidence, bool(found.applies)], np.float64),
    }


def read_map(path: Path) -> RelevanceMap:
    """A map that `write_map` wrote.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            check = file["check"]
            # an earlier version did not keep it
            seen = file["agreement"] if "agreement" in file.files else np.array([])
            rows, columns = file["extent"].tolist()
            return RelevanceMap(
                values=file["values"],
                raw=file["raw"],
                spread=file["spread"],
                extent=(rows, columns),
                suggested_threshold=float(file["suggested_threshold"]),
                evidence=float(check[0]) if len(check) else None,
                applies=bool(check[1]) if len(check) else None,
                agreement=Agreement(float(seen[0]), float(seen[1])) if len(seen) else None,
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path} is damaged: delete it, and the same edit makes it anew."
        ) from error
