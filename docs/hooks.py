"""What mkdocs.yml asks for beyond its plugins: formulas without a network, texts that lie
beside the code as pages of the manual, and tables of all settings.
"""

import html
import math
import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert

from protocol import settings
from protocol.known_settings import Setting, all_settings

FORMULA = re.compile(r'<(?:span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</(?:span|div)>', re.S)
"""What pymdownx.arithmatex makes of $...$ and $$...$$."""
UNREAD = re.compile(r"<m\w+>\s*(?:\\|&|\\?\w*\{)")
"""A command of LaTeX that the converter has let through as a word."""
SETTINGS = "<!-- settings -->"
KINDS = (
    settings.MapSettings,
    settings.PictureMapSettings,
    settings.RegionSettings,
    settings.EditSettings,
    settings.TextureSettings,
    settings.FieldSettings,
    settings.UpdateSettings,
    settings.SceneUpdateSettings,
    settings.SceneRegionSettings,
    settings.MeshSettings,
)
INCLUDE = re.compile(r"<!-- include (\S+) -->")
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s]+)(?=\))")


class BadFormula(ValueError):
    """A formula that no browser could show."""


def mathml(formula: str, display: bool) -> str:
    """LaTeX to MathML, which browsers show by themselves.

    Raises:
        BadFormula: something in it is not understood.
    """
    found: str = convert(formula, display="block" if display else "inline")
    if UNREAD.search(html.unescape(found)):
        raise BadFormula(f"This formula has something that is not understood: {formula}")
    return found


def rebased(text: str, source: str) -> str:
    """The text of a file of the repository with its links as a page in docs/ must write them.

    Args:
        text: Markdown, whose links are relative to where it lies.
        source: where that is, relative to docs/.
    """
    folder = posixpath.dirname(source)

    def moved(link: re.Match[str]) -> str:
        path, mark, anchor = link[1].partition("#")
        joined = posixpath.normpath(posixpath.join("docs", folder, path))
        return posixpath.relpath(joined, "docs") + mark + anchor

    return LINK.sub(moved, text)


def settings_tables() -> str:
    """Every setting with its default, its range and what it means, as protocol/settings.py says."""
    parts = []
    for kind in KINDS:
        rows = [
            f"| `{one.name}` | {allowed(one)} | `{one.default}` | {one.description} |"
            for one in all_settings(kind)
        ]
        head = "| field | values | default | what |\n|---|---|---|---|"
        parts.append("\n".join([f"### {kind.__name__}\n\n{kind.__doc__}\n\n{head}", *rows]))
    return "\n\n".join(parts)


def allowed(one: Setting) -> str:
    """The values that a setting may have, in words."""
    if one.kind is bool:
        return "yes or no"
    if one.choices:
        return ", ".join(one.choices)
    least, most = (f"{end:g}" if one.kind is float else str(end) for end in (one.least, one.most))
    words = f"above {least}" if one.above else f"{least} or more"
    if one.most < math.inf:
        words = f"above {least}, at most {most}" if one.above else f"{least} to {most}"
    if one.kind is tuple:
        words += " numbers"
    return words + (" or None" if one.optional else "")


def on_page_markdown(markdown: str, *, config: Any, **_: Any) -> str:
    """Put in what a page asks for: tables of the settings, or a file in place of its own words."""
    markdown = markdown.replace(SETTINGS, settings_tables())
    asked = INCLUDE.search(markdown)
    if asked is None:
        return markdown
    return rebased((Path(config.docs_dir) / asked[1]).read_text("utf-8"), asked[1])


def on_page_content(content: str, **_: Any) -> str:
    """Turn the page's formulas into MathML."""
    return FORMULA.sub(lambda one: mathml(html.unescape(one[2]), one[1] == "["), content)
