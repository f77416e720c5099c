"""Instructions for scenes of the demo world: what can be asked, and in which words."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence

import numpy as np

from backend.world import naming
from backend.world.placing import TOPPINGS, replacement, topping
from backend.world.sampling import sample_pattern
from backend.world.world import (
    COLOURS,
    KINDS,
    PATTERNS,
    RECOLOURING,
    SHAPES,
    STRUCTURAL_KINDS,
    Edit,
    Scene,
    Surface,
    Thing,
    painted,
    surface_of,
)

RECOLOUR = (
    "make {target} {colour}",
    "turn {target} {colour}",
    "paint {target} {colour}",
    "color {target} {colour}",
    "change {target} to {colour}",
    "change the color of {target} to {colour}",
    "make {target} look {colour}",
    "{target} should be {colour}",
    "recolor {target} {colour}",
    "give {target} a {colour} color",
    "turn {target} into a {colour} one",
    "i want {target} to be {colour}",
    "colour {target} {colour}",
    "change the colour of {target} to {colour}",
)
ADD_COLOURED_PATTERN = (
    "give {target} {colour} {pattern}",
    "add {colour} {pattern} to {target}",
    "put {colour} {pattern} on {target}",
    "paint {colour} {pattern} on {target}",
    "i want {colour} {pattern} on {target}",
    "give {target} a {colour} {adjective} pattern",
    "add a {colour} {adjective} pattern to {target}",
    "add a pattern of {colour} {pattern} to {target}",
    "i want {target} with {colour} {pattern}",
)
ADD_PATTERN = (
    "make {target} {adjective}",
    "add {pattern} to {target}",
    "give {target} {pattern}",
    "put {pattern} on {target}",
    "turn {target} into a {adjective} one",
    "{target} should be {adjective}",
    "give {target} a {adjective} pattern",
    "make {target} look {adjective}",
    "i want {target} to be {adjective}",
    "add a {adjective} pattern to {target}",
)
ADD_WOOD = (
    "give {target} a wood texture",
    "give {target} a wood pattern",
    "add a wood texture to {target}",
    "make {target} look like wood",
    "put a wood texture on {target}",
    "change the surface of {target} to wood",
    "change the material of {target} to wood",
    "{target} should look like wood",
    "i want {target} to look like wood",
)
REMOVE_NAMED_PATTERN = (
    "remove the {pattern} on {target}",
    "remove the {pattern} of {target}",
    "delete the {pattern} on {target}",
    "take away the {pattern} of {target}",
    "take the {pattern} of {target} away",
)
REMOVE_PATTERN = (
    "make {target} plain",
    "turn {target} into a plain one",
    "{target} should be plain",
    "i want {target} to be plain",
    "give {target} a plain surface",
    "make {target} look plain",
)
REMOVE = (
    "remove {target}",
    "delete {target}",
    "take {target} away",
    "take away {target}",
    "i want {target} away",
)
REPLACE = (
    "turn {target} into a {thing}",
    "replace {target} with a {thing}",
    "change {target} into a {thing}",
    "change {target} to a {thing}",
    "make {target} a {thing}",
    "swap {target} with a {thing}",
    "{target} should be a {thing}",
    "i want {target} to be a {thing}",
    "make {target} into a {thing}",
    "take {target} away and put a {thing}",
)
PUT_ON_TOP = (
    "put a {thing} on {target}",
    "put a {thing} on top of {target}",
    "add a {thing} on top of {target}",
    "add a {thing} on {target}",
    "i want a {thing} on {target}",
    "i want a {thing} on top of {target}",
    "put a {thing} on the top of {target}",
)
PUT_ON_HAT = ("give {target} a {thing}", "put a {thing} on {target}", "add a {thing} to {target}")
FILLERS = ("", "", "", "", "", "", "please ", "now ", "just ")
_SENTENCES = ("{target}", "i want")
"""How templates begin that are no commands: no filler goes before them."""
PATTERN_NOUNS = {
    "stripes": ("stripes", "striped pattern", "pattern"),
    "checks": ("checks", "checkered pattern", "pattern"),
    "wood": ("wood texture", "wood pattern", "pattern", "texture"),
}
EXTRA_WORDS = (
    "bright dark light shiny big small large little left right top bottom front back with of "
    "and in on it its stripes striped checks checkered pattern plain remove delete add take "
    "away put replace swap pyramid bottle grey gray brown gold silver metal wood glass hat snow "
    "grass object thing one all everything a an the is be as like more less very than object's "
    "surface material texture color colour"
)
"""Words that have a token of their own, in use or not: the set stays as it is, so that weights stay
usable.
"""
ABSENT_SHARE = 0.06


def sample_edits(
    rng: np.random.Generator,
    scene: Scene,
    count: int,
    visible: dict[int | str, float],
    kinds: Sequence[str] = RECOLOURING,
    sees: Callable[[Thing], bool] = lambda thing: True,
) -> list[Edit]:
    """Draws `count` edits of what can be seen, of these kinds: where all are asked for, half are
    recolourings, and a quarter each patterns and changes of what is there. A kind that the scene
    offers no target for gives way to a recolouring, or, where that is not asked for, to nothing.

    `visible` maps each possible target to the share of the picture that it covers (0..1); a target
    under 0.8 % of the picture (3 % for ground and background) is not asked for. Recolourings ask
    for every visible thing at least once where their number allows it. `sees` says whether a thing
    that is to be put on top would be in the picture. Raises ValueError for unknown kinds.
    """
    if not kinds or not set(kinds) <= set(KINDS):
        raise ValueError(f"Unknown kinds of edit {kinds!r}: use some of {', '.join(KINDS)}.")
    things = [i for i in range(len(scene.things)) if visible.get(i, 0.0) >= 0.008]
    surfaces = [t for t in ("ground", "background") if visible.get(t, 0.0) >= 0.03]
    queue: list[int | str] = [things[i] for i in rng.permutation(len(things))]
    structural = [STRUCTURAL_KINDS[i] for i in rng.permutation(len(STRUCTURAL_KINDS))]
    structural = [k for k in structural if k in kinds]
    edits: list[Edit] = []
    for kind in _spread(rng, count, kinds, structural):
        absent = rng.random() < ABSENT_SHARE
        edit: Edit | None = None
        if absent and kind != "recolour":
            edit = worded(rng, scene, Edit(kind, None, None, "", ""))
        elif kind in STRUCTURAL_KINDS and things:
            for i in rng.permutation(len(things)):
                edit = _sample_structural(rng, scene, kind, things[i], sees)
                if edit is not None:
                    break
        elif kind in ("add pattern", "remove pattern"):
            edit = _sample_pattern_edit(rng, scene, kind, things, surfaces, kinds)
        if edit is None and "recolour" in kinds:
            draw, chosen = rng.random(), None
            if draw < 0.70 and things:
                chosen = queue.pop(0) if queue else things[int(rng.integers(len(things)))]
            elif draw < 0.94 and surfaces:
                chosen = surfaces[int(rng.integers(len(surfaces)))]
            edit = sample_recolouring(rng, scene, chosen)
        if edit is not None:
            edits.append(edit)
    return edits


def _spread(
    rng: np.random.Generator, count: int, kinds: Sequence[str], structural: list[str]
) -> list[str]:
    """The kinds of `count` edits, the groups in even proportion however few there are."""
    patterns = [k for k in ("add pattern", "remove pattern") if k in kinds]
    groups = [list(set(kinds) & set(RECOLOURING)), patterns, structural]
    shares = np.array([0.5, 0.25, 0.25]) * [bool(g) for g in groups]
    ends = np.cumsum(shares / shares.sum())
    found = []
    for place in (rng.permutation(count) + rng.random()) / count:
        group = groups[int(np.searchsorted(ends, place, side="right"))]
        turn = group.pop(0)
        group.append(turn)
        found.append(turn if group is structural else str(rng.choice(group)))
    return found


def sample_recolouring(
    rng: np.random.Generator,
    scene: Scene,
    target: int | str | None,
    wording: str | None = None,
    colour: str | None = None,
) -> Edit:
    """A recolouring of `target` in words; `wording` is one that `naming.wordings` offers; what is
    None is drawn.

    Raises ValueError where this wording would not name the target alone.
    """
    taken: set[str | None] = set()
    if target is not None:
        surface = surface_of(scene, target)
        taken = {surface.colour, surface.pattern.colour if surface.pattern else None}
    colour = colour or str(rng.choice([c for c in COLOURS if c not in taken]))
    return worded(rng, scene, Edit("recolour", target, colour, "", ""), wording)


def _sample_pattern_edit(
    rng: np.random.Generator,
    scene: Scene,
    kind: str,
    things: list[int],
    surfaces: list[str],
    kinds: Sequence[str],
) -> Edit | None:
    """Another pattern on something, or a pattern's removal: whichever of the two this scene offers,
    `kind` where it offers both.
    """
    targets: list[int | str] = [*things, *(s for s in surfaces if s == "ground" or len(things) < 2)]
    patterned = [t for t in targets if surface_of(scene, t).pattern is not None]
    plain = [t for t in targets if t not in patterned]
    if kind == "add pattern" and patterned and not plain and "remove pattern" in kinds:
        kind = "remove pattern"
    if kind == "remove pattern" and not patterned and plain and "add pattern" in kinds:
        kind = "add pattern"
    if kind == "remove pattern":
        if not patterned:
            return None
        target = patterned[int(rng.integers(len(patterned)))]
        return worded(rng, scene, Edit(kind, target, None, "", ""))
    if not plain:
        return None
    target = plain[int(rng.integers(len(plain)))]
    surface = surface_of(scene, target)
    pattern = str(rng.choice(PATTERNS, p=(0.42, 0.36, 0.22)))
    colour: str | None = None
    if pattern != "wood":
        colour = unnamed_colour(surface)
        if rng.random() < 0.65:
            colour = str(rng.choice([c for c in COLOURS if c != surface.colour]))
    bearer = scene.things[target].shape if isinstance(target, int) else target
    drawn = sample_pattern(rng, pattern, colour, surface.albedo, bearer)
    return worded(rng, scene, Edit(kind, target, colour, "", "", pattern=drawn))


def unnamed_colour(surface: Surface) -> str:
    """The colour of stripes and checks where the instruction names none: black on light surfaces,
    white on others.
    """
    red, green, blue = surface.albedo
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.35 else "white"


def _sample_structural(
    rng: np.random.Generator, scene: Scene, kind: str, target: int, sees: Callable[[Thing], bool]
) -> Edit | None:
    """A removal, a replacement or something on top; None where nothing can stand there.

    A replacement keeps the surface with its pattern unless another colour is named, which comes
    plain.
    """
    old = scene.things[target]
    edit = Edit(kind, target, None, "", "")
    if kind == "replace":
        shape = str(rng.choice([s for s in SHAPES if s != old.shape]))
        surface, colour = old.surface, None
        if shape == "torus" and surface.pattern is not None:  # see sample_pattern
            pattern = dataclasses.replace(surface.pattern, axis=(1.0, 0.0, 0.0))
            surface = dataclasses.replace(surface, pattern=pattern)
        if rng.random() < 0.3:
            colour = str(rng.choice([c for c in COLOURS if c != old.surface.colour]))
            surface = dataclasses.replace(painted(surface, colour), pattern=None)
        new = replacement(rng, old, shape, surface)
        edit = dataclasses.replace(edit, thing=new, colour=colour)
    elif kind == "put on top":
        colour = str(rng.choice(list(COLOURS)))
        surface = Surface(colour, COLOURS[colour], float(rng.uniform(0.2, 1.0)), 0.3)
        shape = str(rng.choice(TOPPINGS, p=(0.36, 0.2, 0.32, 0.12)))
        found = topping(rng, old, shape, surface)
        if found is None or not sees(found):
            return None
        edit = dataclasses.replace(edit, thing=found, colour=colour)
    return worded(rng, scene, edit)


def worded(rng: np.random.Generator, scene: Scene, edit: Edit, wording: str | None = None) -> Edit:
    """The same edit of this scene in newly drawn words. Without a target it asks for something that
    is not there, or for the removal of a pattern that is not there.

    Raises ValueError where this wording would not name the target alone.
    """
    if edit.target is None:
        wording, subject = "absent", naming.absent_phrase(rng, scene)
        plain = [i for i, t in enumerate(scene.things) if t.surface.pattern is None]
        if edit.kind == "remove pattern" and plain and rng.random() < 0.5:
            unpatterned = plain[int(rng.integers(len(plain)))]
            way = naming.draw_wording(rng, scene, unpatterned)
            subject = naming.phrase(rng, scene, unpatterned, way)
    else:
        wording = wording or naming.draw_wording(rng, scene, edit.target)
        subject = naming.phrase(rng, scene, edit.target, wording)
    predicate = _PREDICATES[edit.kind](rng, scene, edit)
    filler = FILLERS[int(rng.integers(len(FILLERS)))]
    if predicate.startswith(_SENTENCES):
        filler = ""
    text = predicate.replace("{target}", subject)
    return dataclasses.replace(
        edit, instruction=naming.with_articles(filler + text), wording=wording
    )


def _recolour_words(rng: np.random.Generator, scene: Scene, edit: Edit) -> str:
    assert edit.colour is not None
    return _fill(_usual(rng, RECOLOUR), colour=naming.colour_word(rng, edit.colour))


def _add_pattern_words(rng: np.random.Generator, scene: Scene, edit: Edit) -> str:
    kind = str(rng.choice(PATTERNS)) if edit.pattern is None else edit.pattern.kind
    if kind == "wood":
        return _usual(rng, ADD_WOOD)
    words = {"pattern": kind, "adjective": naming.PATTERN_ADJECTIVES[kind]}
    colour = edit.colour or str(rng.choice(list(COLOURS)))
    can_be_left_out = edit.target is None or colour == unnamed_colour(
        surface_of(scene, edit.target)
    )
    if can_be_left_out and rng.random() < 0.6:
        return _fill(_usual(rng, ADD_PATTERN), **words)
    words["colour"] = naming.colour_word(rng, colour)
    return _fill(_usual(rng, ADD_COLOURED_PATTERN), **words)


def _remove_pattern_words(rng: np.random.Generator, scene: Scene, edit: Edit) -> str:
    kind = str(rng.choice(PATTERNS))
    if edit.target is not None:
        pattern = surface_of(scene, edit.target).pattern
        assert pattern is not None
        kind = pattern.kind
        if rng.random() < 0.45:
            return _usual(rng, REMOVE_PATTERN)
    noun = naming.first_mostly(rng, PATTERN_NOUNS[kind])
    return _fill(_usual(rng, REMOVE_NAMED_PATTERN), pattern=noun)


def _remove_words(rng: np.random.Generator, scene: Scene, edit: Edit) -> str:
    return _usual(rng, REMOVE)


def _replace_words(rng: np.random.Generator, scene: Scene, edit: Edit) -> str:
    shape = str(rng.choice(SHAPES)) if edit.thing is None else edit.thing.shape
    noun, colour = naming.shape_word(rng, shape), edit.colour
    if edit.thing is not None and colour is None and rng.random() < 0.12:
        colour = edit.thing.surface.colour
    if colour is not None:
        noun = f"{naming.colour_word(rng, colour)} {noun}"
    return _fill(_usual(rng, REPLACE), thing=noun)


def _put_on_top_words(rng: np.random.Generator, scene: Scene, edit: Edit) -> str:
    shape = str(rng.choice(TOPPINGS)) if edit.thing is None else edit.thing.shape
    colour = naming.colour_word(rng, edit.colour or str(rng.choice(list(COLOURS))))
    size = ("small ", "small ", "little ", "")[int(rng.integers(4))]
    if shape == "cone" and rng.random() < 0.6:
        templates = PUT_ON_HAT if rng.random() < 0.6 else PUT_ON_TOP
        return _fill(_usual(rng, templates), thing=f"{size}{colour} hat")
    return _fill(_usual(rng, PUT_ON_TOP), thing=f"{size}{colour} {naming.shape_word(rng, shape)}")


_PREDICATES: dict[str, Callable[[np.random.Generator, Scene, Edit], str]] = {
    "recolour": _recolour_words,
    "add pattern": _add_pattern_words,
    "remove pattern": _remove_pattern_words,
    "remove": _remove_words,
    "replace": _replace_words,
    "put on top": _put_on_top_words,
}


def _usual(rng: np.random.Generator, templates: Sequence[str]) -> str:
    """One of the templates, the first ones most often."""
    weights = np.array([4.0, 3.0, 2.0, 2.0, 2.0, *[1.0] * len(templates)])[: len(templates)]
    return str(rng.choice(templates, p=weights / weights.sum()))


def _fill(template: str, **words: str) -> str:
    """The template with these words, its target left open."""
    for name, word in words.items():
        template = template.replace("{" + name + "}", word)
    return template


def vocabulary() -> list[str]:
    """Every word that has a token of its own, sorted, in lower case."""
    templates: tuple[str, ...] = (
        *RECOLOUR,
        *ADD_COLOURED_PATTERN,
        *ADD_PATTERN,
        *ADD_WOOD,
        *REMOVE_NAMED_PATTERN,
    )
    templates += (*REMOVE_PATTERN, *REMOVE, *REPLACE, *PUT_ON_TOP, *PUT_ON_HAT, *FILLERS)
    words = set(re.sub(r"\{\w+\}", "", " ".join(templates)).split())
    words |= set(COLOURS) | set(SHAPES) | set(EXTRA_WORDS.split())
    for table in (naming.COLOUR_WORDS, naming.SHAPE_WORDS, PATTERN_NOUNS):
        for synonyms in table.values():
            words.update(" ".join(synonyms).split())
    words.update(naming.GROUND_WORDS, naming.BACKGROUND_WORDS)
    return sorted(words)
