"""Views that wait for their turn in a file instead of in memory."""

import tempfile
from pathlib import Path

import msgspec
import numpy as np

from protocol.messages import PutView


def parked(view: PutView, folder: Path) -> PutView:
    """The same view, whose arrays lie in a file of `folder` that has no name, and goes with them.

    Raises:
        OSError: there is no such folder, or no room in it.
    """
    arrays = {
        name: value
        for name in view.__struct_fields__
        if isinstance(value := getattr(view, name), np.ndarray)
    }
    kept, offset = {}, 0
    with tempfile.TemporaryFile(dir=folder) as file:
        for array in arrays.values():
            file.write(np.ascontiguousarray(array).data)
        file.flush()
        for name, array in arrays.items():
            kept[name] = np.memmap(file, array.dtype, "r", offset, array.shape)
            offset += array.nbytes
    return msgspec.structs.replace(view, **kept)
