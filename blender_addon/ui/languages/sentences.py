"""Finding which sentence a text is that was put together with values, to say it otherwise.

The sentences stay English until they are shown, as they are kept in files, compared, and made by
what knows no Blender. So the template is found again by its words.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

LookUp = Callable[[str], str]
"""Blender's: the translation of a text, or the text itself."""
VALUE = re.compile(r"\{\d+(?::_)?\}")
"""In a template; with ":_" the value is words, which are translated too."""
ANYTHING = r'((?:(?![.!?] [A-Z0-9"]).)*?)'
"""A value, in which no other sentence begins."""
AFTER_SENTENCE = re.compile(r'(?<=[.!?]) (?=[A-Z0-9"])')
NAME = re.compile(r'"[^"]*"')
JOINT = "\ue000"
"""Stands for a space in a name, where a sentence seems to begin."""
LISTED = re.compile(r", the | and the ")
"""Parts the things of "the camera, the frame and the objects", without the first "the"."""


class Sentences:
    """The texts of all catalogs, of which some are templates."""

    def __init__(self, texts: Iterable[str]) -> None:
        templates = [text for text in set(texts) if VALUE.search(text)]
        # the one that says most of a text is the right one
        templates.sort(key=lambda text: (-len(VALUE.sub("", text)), text))
        self._patterns = [(text, _longest(text), _pattern(text)) for text in templates]
        self.found = lru_cache(maxsize=4096)(self._found)

    def _found(self, text: str) -> tuple[str, tuple[str, ...]] | None:
        """The template that a text was made of, and its values."""
        for template, words, pattern in self._patterns:
            # nearly all are out by their words, which is a hundred times faster
            if words in text and (match := pattern.fullmatch(text)):
                return template, match.groups()
        return None

    def translated(self, text: str, look_up: LookUp) -> str:
        """A text in the language that `look_up` knows; what is not known stays as it is.

        It may be one sentence or several, with or without its full stop, and begin with a capital
        where the catalog does not.
        """
        if not text or (said := look_up(text)) != text:
            return text and said
        whole = NAME.sub(lambda name: AFTER_SENTENCE.sub(JOINT, name[0]), text)
        if whole != text:
            return self.translated(whole, look_up).replace(JOINT, " ")
        if found := self.found(text):
            template, values = found
            said = look_up(template)
            if said != template:
                said = said.format(*(_Value(value, self, look_up) for value in values))
                return capitalised(said) if template[0].islower() and text[0].isupper() else said
        parts = AFTER_SENTENCE.split(text)
        if len(parts) > 1:
            return " ".join(self.translated(part, look_up) for part in parts)
        if text.endswith(".") and (said := self.translated(text[:-1], look_up)) != text[:-1]:
            return f"{said}."
        small = f"{text[0].lower()}{text[1:]}"
        return capitalised(said) if (said := look_up(small)) != small else text


class _Value(str):
    """A value of a sentence, which says itself in another language where {0:_} asks for it."""

    def __new__(cls, value: str, sentences: Sentences, look_up: LookUp) -> "_Value":
        made = super().__new__(cls, value)
        made._sentences, made._look_up = sentences, look_up
        return made

    _sentences: Sentences
    _look_up: LookUp

    def __format__(self, how: str) -> str:
        if how != "_":
            return str(self)
        said = self._sentences.translated(str(self), self._look_up)
        if said != str(self):
            return said
        listed = LISTED.split(self)
        return ", ".join(self._sentences.translated(one, self._look_up) for one in listed)


def _longest(template: str) -> str:
    """The longest part of a template without a value, but for its first letter."""
    first, *others = VALUE.split(template)
    return max((first[1:], *others), key=len)


def _pattern(template: str) -> re.Pattern[str]:
    """What matches a template, which may begin with a capital."""
    first, *others = (re.escape(literal) for literal in VALUE.split(template))
    if first[:1].islower():
        first = f"[{first[0]}{first[0].upper()}]{first[1:]}"
    return re.compile(ANYTHING.join((first, *others)), re.DOTALL)


def capitalised(text: str) -> str:
    """With a capital at the beginning."""
    return f"{text[:1].upper()}{text[1:]}"
