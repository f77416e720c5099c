"""Reading gettext's files of translations (.po), in which translators' tools write."""

import json
from pathlib import Path

Entries = dict[tuple[str, str], str]
"""What is said for a text, by context and text; the context "" is any."""
FIELDS = ("msgctxt", "msgid", "msgstr")


def read(path: Path) -> Entries:
    """The entries of a file, without its head.

    Raises:
        ValueError: a line is none of such a file, or an entry is there twice.
    """
    entries: Entries = {}
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        fields = _fields(block)
        key = (fields.get("msgctxt", ""), fields.get("msgid", ""))
        if key in entries:
            raise ValueError(f"{path.name} has {key[1]!r} twice.")
        if key[1]:
            entries[key] = fields["msgstr"]
    return entries


def _fields(block: str) -> dict[str, str]:
    """The strings of an entry: each may go on in the lines below it."""
    fields: dict[str, str] = {}
    name = ""
    for line in block.splitlines():
        if not line or line.startswith("#"):
            continue
        keyword, quote, rest = line.partition('"')
        name = keyword.strip() or name
        if name not in FIELDS or not quote:
            raise ValueError(f"This is no line of a .po file: {line!r}.")
        fields[name] = fields.get(name, "") + json.loads(f'"{rest}')  # its escapes are JSON's
    return fields
