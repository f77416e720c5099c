"""What the add-on says, in the language that Blender is set to.

Everything is written in English, also what is kept in files and what comes from the backend. It is
translated where it is shown, and nowhere else: Blender itself does so with names, tooltips and
constant labels; whatever is put together in Python goes through `iface_`, `tip_` or `rpt_` last,
which `words.paragraph` does for all that it lays out.

A language is one file of gettext's format beside this one, `de_DE.po` by Blender's own name for it.
A sentence with values stands there as a template, "{0} views are at the backend."; where a value is
the add-on's own words too, the translation says {0:_}.
"""

from pathlib import Path

import bpy
from bpy.app.translations import pgettext_iface, pgettext_rpt, pgettext_tip

from ...data.translations import CONTEXT
from . import catalogs
from .sentences import Sentences

CONTEXTS = (CONTEXT, "*", "Operator")
"""Where Blender looks up what is this add-on's own, everything else, and names of operators."""
CATALOGS = {path.stem: catalogs.read(path) for path in sorted(Path(__file__).parent.glob("*.po"))}
"""By Blender's names of the languages."""

_sentences = Sentences({text for entries in CATALOGS.values() for _, text in entries})


def iface_(text: str) -> str:
    """What a panel says; as it is where Blender is not set to translate that."""
    return _sentences.translated(text, lambda one: pgettext_iface(one, CONTEXT))


def tip_(text: str) -> str:
    """The same for tooltips, and why a button is greyed."""
    return _sentences.translated(text, lambda one: pgettext_tip(one, CONTEXT))


def rpt_(text: str) -> str:
    """The same for what operators report."""
    return _sentences.translated(text, lambda one: pgettext_rpt(one, CONTEXT))


def table(entries: catalogs.Entries) -> catalogs.Entries:
    """A catalog as Blender wants it: what has no context of its own is the same in all of them."""
    everywhere = {
        (context, text): said
        for (own, text), said in entries.items()
        if not own
        for context in CONTEXTS
    }
    return everywhere | {key: said for key, said in entries.items() if key[0]}


def register() -> None:
    """Give Blender the tables."""
    tables = {name: table(entries) for name, entries in CATALOGS.items()}
    bpy.app.translations.register(__name__, tables)


def unregister() -> None:
    """Take them back."""
    bpy.app.translations.unregister(__name__)
