"""report.html: what report.json says and the pictures beside it, as a page that opens from disk."""

import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff;
  max-width: 75rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 2.2rem } h3 { font-size: 1rem }
pre { background: #f4f4f4; padding: .7rem; white-space: pre-wrap; overflow-wrap: anywhere }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .6rem; text-align: right }
th { vertical-align: bottom } td { white-space: nowrap } tr > :first-child { text-align: left }
tr:hover td { background: #f7f7f7 }
img { max-width: 100%; height: auto; border: 1px solid #ddd }
.note { background: #fff6dd; padding: .4rem .8rem; border-left: 4px solid #e0b000 }
"""
REST = {
    "settings": "Settings",
    "seconds": "Seconds",
    "versions": "Versions",
    "machine": "Machine",
    "peak_memory_mib": "Peak memory, MiB",
}
"""What follows the figures, by its name in report.json, and its heading."""
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif")
"""Endings of what a browser shows."""


def page(title: str, content: Mapping[str, Any], pictures: Sequence[str]) -> str:
    """The page of a report.

    Args:
        title: of it.
        content: of report.json.
        pictures: names of files beside the page, in their order.
    """
    parts = [f"<h1>{escape(title)}</h1>"]
    parts += [f'<p class="note">{escape(str(note))}</p>' for note in content["notes"]]
    parts += [f"<pre>{escape(_line(content['command']))}</pre>"]
    for name in pictures:
        where = escape(quote(name))
        parts.append(f'<h2>{escape(name)}</h2><a href="{where}"><img src="{where}" alt=""></a>')
    if content["figures"]:
        parts += ["<h2>Figures</h2>", _shown(content["figures"], 3)]
    for name, heading in REST.items():
        if content[name]:
            parts += [f"<h2>{heading}</h2>", _shown(content[name], 3)]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def pictures_since(folder: Path, moment: float) -> list[str]:
    """Names of the pictures in a folder that were written at a moment (seconds since 1970) or
    later: others may lie there that a report says nothing of.
    """
    return sorted(
        one.name
        for one in folder.iterdir()
        if one.suffix.lower() in PICTURES and one.is_file() and one.stat().st_mtime >= moment
    )


def _line(command: Sequence[str]) -> str:
    """A command as this system's shell takes it."""
    return subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)


def _shown(value: Any, level: int) -> str:
    """Whatever report.json holds: tables where rows are alike, lists of names and values else."""
    if isinstance(value, Mapping) and value:
        return _mapping(value, level)
    if isinstance(value, list | tuple) and value and all(isinstance(v, Mapping) for v in value):
        return _table({str(number + 1): row for number, row in enumerate(value)})
    return f"<p>{_cell(value)}</p>"


def _mapping(value: Mapping[str, Any], level: int) -> str:
    rows = [one for one in value.values() if isinstance(one, Mapping)]
    if len(rows) == len(value) and not any(_deep(row) for row in rows):
        return _table(value)
    plain = {name: one for name, one in value.items() if not _deep_value(one)}
    parts = [_table({name: {"": one} for name, one in plain.items()})] if plain else []
    heading = f"h{min(level, 6)}"
    for name, one in value.items():
        if name not in plain:
            parts.append(f"<{heading}>{escape(str(name))}</{heading}>{_shown(one, level + 1)}")
    return "\n".join(parts)


def _deep(row: Mapping[str, Any]) -> bool:
    return any(_deep_value(one) for one in row.values())


def _deep_value(value: Any) -> bool:
    """Whether a value needs more room than a cell."""
    if isinstance(value, list | tuple):
        return any(isinstance(one, Mapping) for one in value)
    return isinstance(value, Mapping)


def _table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each name; columns are all that any row has."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    head = "".join(f"<th>{escape(str(name))}</th>" for name in names)
    lines = [f"<tr><th></th>{head}</tr>"] if any(names) else []
    for name, row in rows.items():
        cells = "".join(f"<td>{_cell(row[key]) if key in row else ''}</td>" for key in names)
        lines.append(f"<tr><td>{escape(str(name))}</td>{cells}</tr>")
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(one) for one in value)
    return escape(str(value))
