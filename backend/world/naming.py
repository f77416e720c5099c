"""How things of the demo world are called: the words for colours, shapes and patterns, the ways to
name one thing among others, and captions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from backend.world.world import COLOURS, PATTERNS, SHAPES, Edit, Scene, Surface, Thing, apply

COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "cyan": ("cyan", "turquoise"),
    "purple": ("purple", "violet"),
}
SHAPE_WORDS: dict[str, tuple[str, ...]] = {
    "sphere": ("sphere", "ball"),
    "cube": ("cube", "box"),
    "torus": ("torus", "ring", "donut"),
    "monkey": ("monkey", "monkey head"),
}
GROUND_WORDS = ("ground", "floor", "plane")
BACKGROUND_WORDS = ("background", "sky", "wall")
"""The first word of each list is the usual one and is drawn most often."""

PATTERN_ADJECTIVES = {"stripes": "striped", "checks": "checkered", "wood": "wood"}


def first_mostly(rng: np.random.Generator, words: Sequence[str]) -> str:
    """One of the words, the first in more than half of the draws."""
    return words[0] if rng.random() < 0.55 else words[int(rng.integers(len(words)))]


def colour_word(rng: np.random.Generator, colour: str) -> str:
    """A word for the colour."""
    return first_mostly(rng, COLOUR_WORDS.get(colour, (colour,)))


def shape_word(rng: np.random.Generator, shape: str) -> str:
    """A word for the shape."""
    return first_mostly(rng, SHAPE_WORDS.get(shape, (shape,)))


def with_articles(text: str) -> str:
    """The text with "an" before vowels."""
    return re.sub(r"\ba(?= [aeiou])", "an", text)


def adjective(surface: Surface) -> str:
    """The word for the surface's pattern, "plain" without one."""
    return "plain" if surface.pattern is None else PATTERN_ADJECTIVES[surface.pattern.kind]


def wordings(scene: Scene, target: int | str) -> list[str]:
    """The ways in which this target can be named without doubt, of "colour and shape", "shape",
    "colour", "object", "pattern", "pattern and shape", "surface" (the ground or background by its
    word).
    """
    if not isinstance(target, int):
        return ["surface"]
    thing = scene.things[target]
    others = [t for i, t in enumerate(scene.things) if i != target]
    colour, pattern = thing.surface.colour, adjective(thing.surface)
    namesakes = [t for t in others if t.shape == thing.shape]
    offered = []
    if not any(_shows(t, colour) for t in namesakes):
        offered.append("colour and shape")
    if not namesakes:
        offered.append("shape")
    if not any(_shows(t, colour) for t in others):
        offered.append("colour")
    if not others:
        offered.append("object")
    # nobody calls a thing plain where nothing else is patterned
    if thing.surface.pattern is not None or any(t.surface.pattern for t in others):
        if all(adjective(t.surface) != pattern for t in others):
            offered.append("pattern")
        patterned = thing.surface.pattern is not None or any(t.surface.pattern for t in namesakes)
        if patterned and all(adjective(t.surface) != pattern for t in namesakes):
            offered.append("pattern and shape")
    return offered


def _shows(thing: Thing, colour: str | None) -> bool:
    pattern = thing.surface.pattern
    return thing.surface.colour == colour or (pattern is not None and pattern.colour == colour)


def draw_wording(rng: np.random.Generator, scene: Scene, target: int | str) -> str:
    """One of the target's wordings, the full one twice as often as another."""
    offered = wordings(scene, target)
    weights = np.array([3.0 if w == "colour and shape" else 1.5 for w in offered])
    return str(rng.choice(offered, p=weights / weights.sum()))


def phrase(rng: np.random.Generator, scene: Scene, target: int | str, wording: str) -> str:
    """The target in words. Raises ValueError where this wording would not name it alone."""
    if wording not in wordings(scene, target):
        raise ValueError(f"{wording!r} does not name target {target!r} alone in this scene.")
    if target == "ground":
        return "the " + first_mostly(rng, GROUND_WORDS)
    if target == "background":
        return "the " + first_mostly(rng, BACKGROUND_WORDS)
    thing = scene.things[int(target)]
    shape = shape_word(rng, thing.shape)
    pattern = adjective(thing.surface)
    if wording == "shape":
        return f"the {shape}"
    if wording == "object":
        return "the " + first_mostly(rng, ("object", "thing"))
    if wording == "pattern":
        return f"the {pattern} " + first_mostly(rng, ("one", "object", "thing"))
    if wording == "pattern and shape":
        return f"the {pattern} {shape}"
    assert thing.surface.colour is not None
    colour = colour_word(rng, thing.surface.colour)
    if wording == "colour":
        return f"the {colour} " + first_mostly(rng, ("object", "one", "thing"))
    if thing.surface.pattern is not None and rng.random() < 0.25:
        return f"the {pattern} {colour} {shape}"
    return f"the {colour} {shape}"


def absent_phrase(rng: np.random.Generator, scene: Scene) -> str:
    """A phrase that names nothing in the scene."""
    shapes = {t.shape for t in scene.things}
    colours = {c for c in COLOURS if any(_shows(t, c) for t in scene.things)}
    patterns = {adjective(t.surface) for t in scene.things}
    absent = [
        (c, s)
        for c in COLOURS
        for s in SHAPES
        if not any(_shows(t, c) and t.shape == s for t in scene.things)
    ]
    named, shape = absent[int(rng.integers(len(absent)))]
    colour, noun, draw = colour_word(rng, named), shape_word(rng, shape), rng.random()
    kind = PATTERN_ADJECTIVES[str(rng.choice(PATTERNS))]
    if kind not in patterns and draw < 0.2:
        return f"the {kind} " + (
            noun if rng.random() < 0.6 else first_mostly(rng, ("one", "object"))
        )
    if shape not in shapes and draw < 0.5:
        return f"the {noun}"
    if named not in colours and draw < 0.65:
        return f"the {colour} " + first_mostly(rng, ("one", "object", "thing"))
    return f"the {colour} {noun}"


def captions(scene: Scene, edit: Edit, shown: Sequence[int]) -> tuple[str, str]:
    """What the picture shows before and after the edit, of which things `shown` can be seen: "a red
    cube and a striped blue sphere on a grey ground in front of a white background".
    """
    nouns = {i: _thing_caption(scene.things[i]) for i in shown}
    before = _caption(list(nouns.values()), scene)
    after = apply(scene, edit)
    if isinstance(edit.target, int):
        if edit.kind == "remove":
            nouns.pop(edit.target, None)
        elif edit.kind == "put on top":
            assert edit.thing is not None
            below = nouns.pop(edit.target, _thing_caption(scene.things[edit.target]))
            nouns[edit.target] = f"{below} with a small {_thing_caption(edit.thing)[2:]} on top"
            nouns = dict(sorted(nouns.items()))
        else:
            nouns[edit.target] = _thing_caption(after.things[edit.target])
    return with_articles(before), with_articles(_caption(list(nouns.values()), after))


def _caption(nouns: list[str], scene: Scene) -> str:
    text = ", ".join(nouns[:-1]) + " and " + nouns[-1] if len(nouns) > 1 else "".join(nouns)
    background = f"a {_surface_caption(scene.background.surface)} background"
    if scene.ground is not None:
        ground = f"a {_surface_caption(scene.ground.surface)} ground"
        text = f"{text} on {ground}" if text else ground
    return f"{text} in front of {background}" if text else background


def _thing_caption(thing: Thing) -> str:
    return f"a {_surface_caption(thing.surface)} {thing.shape}"


def _surface_caption(surface: Surface) -> str:
    colour = surface.colour or _neutral(surface)
    if surface.pattern is None:
        return colour
    if surface.pattern.kind == "wood":
        return f"{colour} wood"
    return f"{adjective(surface)} {colour}"


def _neutral(surface: Surface) -> str:
    shade = sum(surface.albedo) / 3
    for name, limit in (("black", 0.04), ("dark grey", 0.14), ("grey", 0.45), ("light grey", 0.7)):
        if shade < limit:
            return name
    return "white"
