"""All texts of the installed add-on that artists read: what Blender knows of its classes, and what
its sources put together.
"""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import bpy

KINDS = (
    bpy.types.Operator,
    bpy.types.Panel,
    bpy.types.Menu,
    bpy.types.PropertyGroup,
    bpy.types.AddonPreferences,
)
WORD = re.compile(r"[^\W\d]{2}")
VALUE = re.compile(r"\{\d+(?::_)?\}")
FIELD = re.compile(r"\{\w*\}")
SHOWN_BY = {"iface_", "tip_", "rpt_", "Kind"}
"""What takes texts of one word, too."""
SHOWN_AS = {"text", "title", "confirm_text", "heading", "placeholder"}
"""Arguments of Blender's functions that are shown."""
NOT_READ = {
    *("wheels", "ui/languages/__init__", "ui/languages/catalogs", "ui/languages/sentences"),
    *(f"protocol/{one}" for one in ("client", "codec", "corrections", "folders", "messages")),
    *("protocol/known_settings", "protocol/values"),
}
"""Files that say nothing to artists, or only of messages that are broken."""
NOT_SHOWN = {
    # names of data-blocks, of nodes and of what is in them: they are the file's, not the panel's
    *("{0} edit", "{0} edit mask", "{0} variants", "{0} mask", "{0} painting", "{0} render"),
    *("{0} painting (earlier)", "{0} (earlier)", "{0} full size", "{0} full base", "{0} layer"),
    *("{0} in 3D", "{0} texture", "{0} color", "{0} (edited)", "{0} relevance", "{0} correction"),
    "{0} relevance grown",
    *("{0} 3D view", "{0} 3D edit", "{0} full render", "{0} of {1}", " by {0}", "image {0}"),
    *("The render", "How much of the edit is laid over the render", "The render with the edit"),
    *("The edit alone, with the render's alpha", "Where the edit is: 1 inside, 0 outside"),
    *("Replace Alpha", "Apply Mask", "Alpha Is Used", "Render Size", "Is Camera Ray"),
    *("Base Color", "Emission Color", "Emissive Color", "Emission Strength", "CUSTOM GROUP"),
    # what Blender and the file system call things by
    *("AgX Base sRGB", "Filmic sRGB", "Khronos PBR Neutral", "Khronos PBR Neutral sRGB"),
    *("ACES 1.3", "ACES 2.0", "ACES 1.3 sRGB", "ACES 2.0 sRGB", "Linear Rec.709", "3D View"),
    *("Blender {0}", " watch your steps", "watch your steps", "Watch Your Steps: stop"),
    # tooltips and undo steps, which are read as they come out
    "Watch Your Steps: {0}",
    "Pixels of a view's {0}; 0: the size that the model was trained at, which is the best one",
    "{0}. A new map sets it to the map's own suggestion, unless you have moved it for this "
    "instruction: then it stays where you put it. Moving it needs no backend",
    "{0} x {1} pixels",
    # what is between parts that are said one by one
    *(" and the ", ", the "),
    # of defects, for those who mend them
    "{0} is {1} but the image is {2}",
    *("the map is {0} but the image is {1}", "things are {0} but the map is {1}"),
    *("intrinsics must be finite, and focal lengths above 0", "things must be labels of 0 or more"),
    *("faces must name vertices 0 to {0}", "not within {0} seconds; the link is {1}"),
    "The key file {0} cannot be used ({1}): start with --new-keys, and copy the new connection "
    "file to every client.",
}
"""What has spaces in it, and is not said to artists."""
WORDS = {
    *("camera", "frame", "objects", "instruction", "picture", "Background"),
    *("things", "edges", "pieces", "surfaces"),
}
"""Single words that sentences are made with."""
OF_BACKEND = {
    *("Encoding the image", "Denoising", "step {0} of {1}", "noise {0} of {1}", "Training"),
    *("Reading the capture", "Finding what each view shows", "view {0} of {1}", "Decimating"),
    *("Round {0} of {1}", "Relevance of view {0} of {1}", "Painting view {0} of {1}"),
    *("Rendering the fields from view {0} of {1}", "Rendering frame {0} of {1}"),
    *("Writing the texture", "Looking where nothing is yet", "Finding whole things"),
    *("Unwrapping the mesh", "Looking from all views", "Following the rays of view {0} of {1}"),
    *("Finding the surface", "Removing floaters", "Gathering the relevance"),
    *("Rendering before and after", "{0} s left at most", "{0} min left at most"),
}
"""What the backend says of a running job, in parts between commas; what else it says is English in
every language."""


def of_classes(package: str) -> dict[str, str]:
    """Names, tooltips and choices of all registered classes and their properties, and where each is
    from. Properties without a name of their own are never drawn, but for buttons of their choices.
    """
    found: dict[str, str] = {}
    for name, titles, described in _described(package):
        found |= dict.fromkeys(titles, name)
        base = {one.identifier for one in described.base.properties} if described.base else set()
        for prop in described.properties:
            if prop.identifier in base:
                continue
            named = prop.name not in ("", prop.identifier)
            texts = [prop.name, prop.description] if named else []
            for item in prop.enum_items if prop.type == "ENUM" else ():
                texts += [item.name, item.description]
            found |= dict.fromkeys(texts, f"{name}.{prop.identifier}")
    return {text: place for text, place in found.items() if WORD.search(text)}


def of_undo_steps(package: str) -> dict[str, str]:
    """What Blender's undo history calls the results of jobs."""
    kinds = importlib.import_module(f"{package}.jobs.kinds").KINDS.values()
    return {f"Watch Your Steps: {kind.title}": "jobs.kinds" for kind in kinds if kind.undo}


def of_sources(folder: Path) -> dict[str, str]:
    """Texts in the sources, templates with numbers for their values: all that have spaces in them,
    and what is given to Blender to be shown. Maps each to its place.
    """
    found = dict.fromkeys(sorted(WORDS | OF_BACKEND), "addon_texts.py")
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if not any(name.startswith(one) for one in NOT_READ):
            for line, text in _texts(ast.parse(path.read_text(encoding="utf-8"))):
                found.setdefault(text, f"{name}.py:{line}")
    return found


def unwrapped(folder: Path) -> list[str]:
    """Where sources of the interface give Blender texts with values that were not translated."""
    found = []
    for path in sorted((folder / "ui").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found += [
                f"{path.name}:{one.lineno} {template(one)}"
                for one in _given_to_blender(node)
                if isinstance(one, ast.JoinedStr) and WORD.search(VALUE.sub("", template(one)))
            ]
    return found


def template(node: ast.expr) -> str:
    """A text with numbers for its values; "" where it is none."""
    numbers = iter(range(100))
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else f"{{{next(numbers)}}}"
            for part in node.values
        )
    text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
    return FIELD.sub(lambda _: f"{{{next(numbers)}}}", text)


def _described(package: str) -> Iterator[tuple[str, list[str], bpy.types.Struct]]:
    """Name, titles and properties of each class."""
    for name, one in _classes(package):
        described, titles = one.bl_rna, []
        if issubclass(one, bpy.types.Operator):
            group, _, function = one.bl_idname.partition(".")
            described = getattr(getattr(bpy.ops, group), function).get_rna_type()
            titles = [described.name, described.description]
        elif issubclass(one, bpy.types.Panel):
            titles = [one.bl_label]
            if hasattr(one, "preset_subdir"):  # it opens from a button, which has a tooltip
                titles.append(one.bl_rna.description)
        yield name, titles, described


def _classes(package: str) -> Iterator[tuple[str, type]]:
    root = importlib.import_module(package)
    for found in pkgutil.walk_packages(root.__path__, f"{package}."):
        module = importlib.import_module(found.name)
        for name, one in vars(module).items():
            ours = isinstance(one, type) and issubclass(one, KINDS) and one.__module__ == found.name
            if ours and getattr(one, "is_registered", False):
                yield name, one


def _texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    unread = _unread(tree)
    shown = {id(part) for node in ast.walk(tree) for part in _shown(node)}
    for node in ast.walk(tree):
        text = "" if id(node) in unread else template(node)
        if text in NOT_SHOWN or not WORD.search(VALUE.sub("", text)):
            continue
        if id(node) in shown or (re.search(r"\S\s+\S", text) and not _is_code(text)):
            yield node.lineno, text


def _is_code(text: str) -> bool:
    """Whether a text is for machines: shaders, patterns, scripts, annotations."""
    return any(mark in text for mark in ("\n", "\\", " = ", " | "))


def _unread(tree: ast.Module) -> set[int]:
    """Docstrings, parts of templates, keys of dictionaries and nodes, and what is said of
    properties, whose names and tooltips are read from the classes.
    """
    unread: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            unread |= {id(part) for part in node.values}
            unread |= {id(getattr(part, "format_spec", None)) for part in node.values}
        elif isinstance(node, ast.Subscript):
            unread |= {id(part) for part in ast.walk(node.slice)}
        elif isinstance(node, ast.Call) and _name(node.func).endswith("Property"):
            unread |= {id(part) for part in ast.walk(node)}
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            if isinstance(statement, ast.Expr):
                unread.add(id(statement.value))
    return unread


def _shown(node: ast.AST) -> Iterator[ast.AST]:
    """The texts of a call that are shown, whatever they look like."""
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg in SHOWN_AS:
                yield from ast.walk(keyword.value)
        if _name(node.func) in SHOWN_BY:
            yield from node.args


def _given_to_blender(node: ast.AST) -> Iterator[ast.expr]:
    """The arguments of a call by which Blender shows texts as they are."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return
    if node.func.attr in ("report", "poll_message_set", "status_text_set", "undo_push"):
        yield from node.args
    if node.func.attr != "paragraph":
        yield from (one.value for one in node.keywords if one.arg in {*SHOWN_AS, "message"})


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
