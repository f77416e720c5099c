"""Instructions for scenes of the demo world: what can be asked, and in which words."""

from __future__ import annotations

import numpy as np

from backend.demo.world import COLOURS, SHAPES, Edit, Scene, surface_of

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

TEMPLATES = (
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
FILLERS = ("", "", "", "", "", "", "please ", "now ", "just ")
EXTRA_WORDS = (
    "bright dark light shiny big small large little left right top bottom front back with of "
    "and in on it its stripes striped checks checkered pattern plain remove delete add take "
    "away put replace swap pyramid bottle grey gray brown gold silver metal wood glass hat snow "
    "grass object thing one all everything a an the is be as like more less very than object's "
    "surface material texture color colour"
)
"""Words of later kinds of edit: they have a token of their own from the start, so that weights stay
usable.
"""


def sample_edits(
    rng: np.random.Generator, scene: Scene, count: int, visible: dict[int | str, float]
) -> list[Edit]:
    """Draws `count` recolourings of what can be seen.

    `visible` maps each possible target to the share of the picture that it covers (0..1); a target
    under 0.8 % of the picture (3 % for ground and background) is not asked for. Things are asked
    for most, and every visible thing at least once where `count` allows it.
    """
    things = [i for i in range(len(scene.things)) if visible.get(i, 0.0) >= 0.008]
    surfaces = [t for t in ("ground", "background") if visible.get(t, 0.0) >= 0.03]
    queue: list[int | str] = [things[i] for i in rng.permutation(len(things))]
    edits: list[Edit] = []
    for _ in range(count):
        draw = rng.random()
        target: int | str | None = None
        if draw < 0.70 and things:
            target = queue.pop(0) if queue else things[int(rng.integers(len(things)))]
        elif draw < 0.94 and surfaces:
            target = surfaces[int(rng.integers(len(surfaces)))]
        edits.append(sample_recolouring(rng, scene, target))
    return edits


def sample_recolouring(
    rng: np.random.Generator,
    scene: Scene,
    target: int | str | None,
    wording: str | None = None,
    colour: str | None = None,
) -> Edit:
    """A recolouring of `target` in words; `wording` is one that `wordings` offers; what is None is
    drawn.

    Raises ValueError where this wording would not name the target alone.
    """
    colours = list(COLOURS)
    current = surface_of(scene, target).colour if target is not None else None
    colour = colour or str(rng.choice([c for c in colours if c != current]))
    if target is None:
        present = {(t.surface.colour, t.shape) for t in scene.things}
        shapes_here, colours_here = {s for _, s in present}, {c for c, _ in present}
        absent = [(c, s) for c in colours for s in SHAPES if (c, s) not in present]
        named, shape = absent[int(rng.integers(len(absent)))]
        phrase = f"the {_word(rng, COLOUR_WORDS, named)} {_word(rng, SHAPE_WORDS, shape)}"
        if shape not in shapes_here and rng.random() < 0.4:
            phrase = f"the {_word(rng, SHAPE_WORDS, shape)}"
        elif named not in colours_here and rng.random() < 0.3:
            phrase = f"the {_word(rng, COLOUR_WORDS, named)} one"
        wording = "absent"
    else:
        offered = wordings(scene, target)
        if wording is None:
            weights = np.array([3.0 if w == "colour and shape" else 1.5 for w in offered])
            wording = str(rng.choice(offered, p=weights / weights.sum()))
        elif wording not in offered:
            raise ValueError(f"{wording!r} does not name target {target!r} alone in this scene.")
        phrase = _phrase(rng, scene, target, wording)
    template = str(rng.choice(TEMPLATES, p=_template_weights()))
    text = template.format(target=phrase, colour=_word(rng, COLOUR_WORDS, colour))
    return Edit(
        "recolour", target, colour, FILLERS[int(rng.integers(len(FILLERS)))] + text, wording
    )


def wordings(scene: Scene, target: int | str) -> list[str]:
    """The ways in which this target can be named without doubt, of "colour and shape", "shape",
    "colour", "object", "surface" (the ground or background by its word).
    """
    if not isinstance(target, int):
        return ["surface"]
    thing = scene.things[target]
    others = [t for i, t in enumerate(scene.things) if i != target]
    offered = ["colour and shape"]
    if all(t.shape != thing.shape for t in others):
        offered.append("shape")
    if all(t.surface.colour != thing.surface.colour for t in others):
        offered.append("colour")
    if not others:
        offered.append("object")
    return offered


def _phrase(rng: np.random.Generator, scene: Scene, target: int | str, wording: str) -> str:
    if target == "ground":
        return "the " + _first_mostly(rng, GROUND_WORDS)
    if target == "background":
        return "the " + _first_mostly(rng, BACKGROUND_WORDS)
    thing = scene.things[int(target)]
    shape = _word(rng, SHAPE_WORDS, thing.shape)
    if wording == "shape":
        return f"the {shape}"
    if wording == "object":
        return "the " + _first_mostly(rng, ("object", "thing"))
    assert thing.surface.colour is not None
    colour = _word(rng, COLOUR_WORDS, thing.surface.colour)
    if wording == "colour":
        return f"the {colour} " + _first_mostly(rng, ("object", "one", "thing"))
    return f"the {colour} {shape}"


def _first_mostly(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[0] if rng.random() < 0.55 else words[int(rng.integers(len(words)))]


def _word(rng: np.random.Generator, table: dict[str, tuple[str, ...]], name: str) -> str:
    return _first_mostly(rng, table.get(name, (name,)))


def _template_weights() -> np.ndarray:
    weights = np.array([4.0, 3.0, 2.0, 2.0, 2.0] + [1.0] * (len(TEMPLATES) - 5))
    return weights / weights.sum()


def vocabulary() -> list[str]:
    """Every word that has a token of its own, sorted, in lower case."""
    text = " ".join((*TEMPLATES, *FILLERS)).replace("{target}", "").replace("{colour}", "")
    words = set(text.split()) | set(COLOURS) | set(SHAPES) | set(EXTRA_WORDS.split())
    for table in (COLOUR_WORDS, SHAPE_WORDS):
        for synonyms in table.values():
            words.update(" ".join(synonyms).split())
    words.update(GROUND_WORDS, BACKGROUND_WORDS)
    return sorted(words)
