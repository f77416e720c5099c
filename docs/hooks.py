"""What mkdocs.yml asks for beyond its plugins: formulas without a network, and texts that lie
beside the code as pages of the manual.
"""

import html
import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(?:span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</(?:span|div)>', re.S)
"""What pymdownx.arithmatex makes of $...$ and $$...$$."""
UNREAD = re.compile(r"<m\w+>\s*(?:\\|&|\\?\w*\{)")
"""A command of LaTeX that the converter has let through as a word."""
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


def on_page_markdown(markdown: str, *, config: Any, **_: Any) -> str:
    """Put in the file that a page asks for, in place of the page's own words."""
    asked = INCLUDE.search(markdown)
    if asked is None:
        return markdown
    return rebased((Path(config.docs_dir) / asked[1]).read_text("utf-8"), asked[1])


def on_page_content(content: str, **_: Any) -> str:
    """Turn the page's formulas into MathML."""
    return FORMULA.sub(lambda one: mathml(html.unescape(one[2]), one[1] == "["), content)
