"""What changes an image's colours on their way to the surface is found and named."""

import importlib
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import bpy
import pytest
from test_material_images import Tree, group_ends, material, mesh_texture, thing  # noqa: F401
from test_threshold import Written

Build = Callable[[Tree], None]


@pytest.fixture
def changes(addon: SimpleNamespace, installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.data.meshes.colour_changes")


def corrected(kind: str, entry: str = "Color") -> Build:
    def build(t: Tree) -> None:
        node = t.new(kind)
        t.link(t.image("base"), node.inputs[entry])
        t.colour(node)

    return build


def straight(t: Tree) -> None:
    t.colour(t.image("base"))


def rerouted(t: Tree) -> None:
    t.link(t.image("base"), (way := t.new("NodeReroute")).inputs[0])
    t.colour(way)


def muted(t: Tree) -> None:
    corrected("ShaderNodeHueSaturation")(t)
    next(node for node in t.nodes if node.type == "HUE_SAT").mute = True


def darkened(t: Tree) -> None:
    t.colour(t.mix(t.image("base"), t.image("wood_AO")))


def half_white(t: Tree) -> None:
    t.colour(t.mix(t.image("base"), None, "MIX"))


def all_of_a_mix(t: Tree) -> None:
    mixed = t.mix(t.image("base"), None, "MIX")
    next(one for one in mixed.node.inputs if one.enabled).default_value = 0
    t.colour(mixed)


def two_shaders(t: Tree) -> None:
    t.colour(t.image("base"))
    mix = t.new("ShaderNodeMixShader")
    t.link(t.bsdf, mix.inputs[1])
    t.link(t.new("ShaderNodeBsdfGlossy"), mix.inputs[2])
    t.link(mix, t.output.inputs["Surface"])


def in_a_group(t: Tree) -> None:
    inner, node = t.group("fix")
    begin, end = group_ends(inner)
    gamma = inner.new("ShaderNodeGamma")
    inner.link(begin.outputs[0], gamma.inputs["Color"])
    inner.link(gamma, end.inputs[0])
    t.link(t.image("base"), node.inputs[0])
    t.colour(node.outputs[0])


def for_another_image(t: Tree) -> None:
    hue = t.new("ShaderNodeHueSaturation")
    t.link(t.image("other"), hue.inputs["Color"])
    t.colour(t.mix(t.image("base"), hue.outputs[0]))


CASES: list[tuple[Build, str | None]] = [
    (straight, None),
    (rerouted, None),
    (muted, None),
    (darkened, None),
    (all_of_a_mix, None),
    (two_shaders, None),
    (for_another_image, None),
    (half_white, "Mix"),
    (in_a_group, "Gamma"),
    (corrected("ShaderNodeHueSaturation"), "Hue/Saturation/Value"),
    (corrected("ShaderNodeRGBCurve"), "RGB Curves"),
    (corrected("ShaderNodeGamma"), "Gamma"),
    (corrected("ShaderNodeInvert"), "Invert"),
    (corrected("ShaderNodeBrightContrast"), "Bright"),
    (corrected("ShaderNodeVectorMath", "Vector"), "Vector Math"),
]


@pytest.mark.parametrize(("build", "node"), CASES)
def test_what_changes_colours_is_named(
    changes: ModuleType,
    thing: bpy.types.Object,  # noqa: F811
    build: Build,
    node: str | None,
) -> None:
    build(material(thing))
    found = changes.changing_node(thing.active_material, bpy.data.images["base"], "CYCLES")
    assert (found is None) == (node is None)
    assert (found or "").startswith(node or "")


@pytest.mark.parametrize("build", [straight, CASES[9][0]])
def test_the_panel_says_so(
    changes: ModuleType,
    addon: SimpleNamespace,
    thing: bpy.types.Object,  # noqa: F811
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
    build: Build,
) -> None:
    build(material(thing))
    panel = importlib.import_module(f"{installed}.ui.panel_make")
    layout = Written()
    monkeypatch.setattr(panel.words, "paragraph", lambda part, _, text, **__: part.label(text=text))
    panel.draw(layout, bpy.context, thing)
    said = " ".join(layout.texts)
    assert ("changes the colors" in said) == (build is not straight)
    assert "No image colors it" not in said
