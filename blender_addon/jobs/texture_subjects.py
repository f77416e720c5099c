"""What the result of a texture's job belongs to, as a text that is saved: the names of an object
and an image.
"""

INSTEAD = "\x1e"
"""Stands for a line break in a name, as some files bring with them: one parts the two names."""


def subject_of(thing: str, image: str) -> str:
    """The text for the full names of an object and an image."""
    return "\n".join(name.replace("\n", INSTEAD) for name in (thing, image))


def is_subject(text: str) -> bool:
    """Whether a text is one."""
    return text.count("\n") == 1


def names_of(subject: str) -> tuple[str, str]:
    """The full names of the object and the image."""
    thing, image = subject.split("\n")
    return thing.replace(INSTEAD, "\n"), image.replace(INSTEAD, "\n")
