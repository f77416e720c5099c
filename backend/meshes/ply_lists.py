"""Binary .ply files whose polygons have different numbers of corners, such as Blender writes, as
text: trimesh reads them in that form only.

The format is documented in Turk's "The PLY Polygon File Format" (1994).
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

TYPES = {
    **{"char": "b", "uchar": "B", "short": "h", "ushort": "H", "int": "i", "uint": "I"},
    **{"int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I"},
    **{"float": "f", "float32": "f", "double": "d", "float64": "d"},
}
"""As `struct` and numpy name them."""
ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
END = b"end_header"


@dataclass
class _Element:
    """Rows of a file.

    Attributes:
        rows: their number.
        columns: the type of each property's values and, before them, that of their number where
            it is a list.
    """

    rows: int
    columns: list[tuple[str | None, str]] = field(default_factory=list)


def with_even_lists(content: bytes) -> bytes:
    """A .ply file's content, as text where it is binary and has lists of different lengths.

    Raises:
        struct.error, ValueError, LookupError: it is damaged.
    """
    end = content.find(END)
    place = content.find(b"\n", end) + 1
    header = content[:place].decode("utf-8", "surrogateescape").splitlines()
    coded = [line.split()[1] for line in header if line.startswith("format ")]
    order = ORDERS.get(coded[0]) if coded else None
    if end < 0 or order is None:
        return content
    rows: list[Iterable[Sequence[Any]]] = []
    even = True
    for element in _elements(header):
        if element.rows == 0:
            continue
        table = _even(content, place, element, order)
        if table is not None:
            rows.append(_flat(table))
            place += table.nbytes
        else:
            even = False
            uneven, place = _uneven(content, place, element, order)
            rows.append(uneven)
    if even:
        return content
    header = ["format ascii 1.0" if line.startswith("format") else line for line in header]
    lines = [" ".join(map(repr, row)) for element_rows in rows for row in element_rows]
    return "\n".join([*header, *lines, ""]).encode("utf-8", "surrogateescape")


def _elements(header: Sequence[str]) -> list[_Element]:
    elements: list[_Element] = []
    for words in map(str.split, header):
        if words[:1] == ["element"]:
            elements.append(_Element(int(words[2])))
        elif words[:2] == ["property", "list"]:
            elements[-1].columns.append((TYPES[words[2]], TYPES[words[3]]))
        elif words[:1] == ["property"]:
            elements[-1].columns.append((None, TYPES[words[1]]))
    return elements


def _even(content: bytes, place: int, element: _Element, order: str) -> np.ndarray[Any, Any] | None:
    """The rows that begin at a place, each with as many values as the first; None where they have
    not, or are not all there.
    """
    fields: list[tuple[str, str, tuple[int, ...]]] = []
    lists, size = {}, 0
    for number, (counted, kind) in enumerate(element.columns):
        count = 1
        if counted is not None:
            (count,) = struct.unpack_from(order + counted, content, place + size)
            lists[f"count {number}"] = count
            fields.append((f"count {number}", order + counted, ()))
            size += struct.calcsize(order + counted)
        shape = () if counted is None else (max(0, count),)
        fields.append((str(number), order + kind, shape))
        size += count * struct.calcsize(order + kind)
    if not lists:
        return np.frombuffer(content, fields, element.rows, place)
    if place + element.rows * size > len(content):
        return None
    table = np.frombuffer(content, fields, element.rows, place)
    return table if all((table[name] == count).all() for name, count in lists.items()) else None


def _flat(table: np.ndarray[Any, Any]) -> Iterator[Sequence[Any]]:
    for row in table.tolist():
        yield [
            one
            for value in row
            for one in (value.tolist() if isinstance(value, np.ndarray) else (value,))
        ]


def _uneven(
    content: bytes, place: int, element: _Element, order: str
) -> tuple[list[list[Any]], int]:
    """The rows that begin at a place, and the place where they end."""
    rows = []
    for _ in range(element.rows):
        row: list[Any] = []
        for counted, kind in element.columns:
            count = 1
            if counted is not None:
                (count,) = struct.unpack_from(order + counted, content, place)
                place += struct.calcsize(order + counted)
                row.append(count)
            values = f"{order}{count}{kind}"
            row += struct.unpack_from(values, content, place)
            place += struct.calcsize(values)
        rows.append(row)
    return rows, place
