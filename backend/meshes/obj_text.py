"""The text of Wavefront's .obj and .mtl files, made plain enough for trimesh, which knows neither
their tabs nor their names of several files, and guesses what their letters are.

The formats are documented in Wavefront's "Object Files (.obj)" and in Diane Ramey and others' "MTL
material format" (1995).
"""

import re
from collections.abc import Callable

BLIND = {"-blendu", "-blendv", "-boost", "-cc", "-clamp", "-imfchan", "-bm", "-type", "-texres"}
"""Options of a texture that move no texel, each with one word after it..."""
RANGE = "-mm"
"""...and one with two. It changes brightness, in programs that know it."""
STILL = {"-o": 0.0, "-t": 0.0, "-s": 1.0}
"""Options with one to three numbers, and what these are where they move nothing."""
LIBRARY = re.compile(r"(?<=\.mtl)\s+", re.IGNORECASE)
"""Between several names of .mtl files."""


def plain_text(content: bytes) -> str:
    """The lines of a file, without what programs write in different ways: byte order marks,
    letters of Windows where they are not UTF-8, tabs, indents, old line ends and lines that go on
    in the next one.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16", "replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252", "replace")
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\\\n", " ").replace("\t", " ")
    return re.sub(r"(?m)^ +", "", text)


def with_one_library(
    obj: str, name: str, find: Callable[[str], bytes | None]
) -> tuple[str, str, list[str]]:
    """An .obj file's text with one .mtl file in place of all that it names.

    Args:
        obj: as `plain_text` has it.
        name: of the one.
        find: the content of a file that is named; None where it is not there.

    Returns:
        The text; that of the one file; the names of files that are not there.
    """
    libraries, missing = [], []
    for line in re.findall(r"(?m)^mtllib +(.*)$", obj):
        named = line.strip()
        for one in [named] if find(named) is not None else LIBRARY.split(named):
            content = find(one)
            if content is None:
                missing.append(one)
            else:
                libraries.append(plain_text(content))
    # trimesh takes the first "mtllib" that there is, if in a comment
    rest = re.sub(r"(?m)^(mtllib |#).*$", "", obj)
    return f"mtllib {name}\n{rest}", "\n".join(libraries), missing


def texture_file(written: str) -> tuple[str, str | None, bool]:
    """What a .mtl file says of a texture.

    Returns:
        The file's name; the options that move it over the mesh, None where there are none; whether
        it repeats beyond its edges.
    """
    words, moved, repeats = written.split(" "), [], True
    while words:
        option = words[0].lower()
        if option in STILL:
            count = 1
            while count < min(4, len(words)) and _number(words[count]) is not None:
                count += 1
            if any(_number(word) != STILL[option] for word in words[1:count]):
                moved += words[:count]
        elif option == RANGE:
            count = 3
        elif option in BLIND:
            count = 2
            repeats = repeats and not (option == "-clamp" and "on" in words[1:2])
        else:
            break
        words = words[count:]
    name = " ".join(words).strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = name[1:-1]
    return name, " ".join(moved) or None, repeats


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
