"""Textures with UDIM tiles: every tile is edited, shown, corrected and kept as an image is."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
import udim
from driving import SECONDS, reopen
from fake_server import FakeServer, edited, relevance_of
from image_files import png
from test_flows import refusal, submits
from test_texture_edit import edit, node, thing  # noqa: F401  # fixtures
from test_texture_preview import live, preview, refusal_of, regions  # noqa: F401
from udim import TILES, pixels_of, tiles_of

OPS = bpy.ops.watch_your_steps
Pixels = dict[int, np.ndarray]
SUGGESTED = np.float32(0.4)


@pytest.fixture
def tiles(installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.data.tiles")


@pytest.fixture
def box(thing: bpy.types.Object, tmp_path: Path) -> bpy.types.Object:  # noqa: F811
    """The active object: a cube whose faces lie on three tiles, which are packed."""
    bpy.data.images.remove(node(thing).image)
    node(thing).image = udim.image(tmp_path, pixels_of())
    udim.lay_out(thing)
    return thing


def inverted(pixels: Pixels, regions: dict[int, np.ndarray]) -> Pixels:  # noqa: F811
    """What the scripted server makes of tiles."""
    made = {number: one.copy() for number, one in pixels.items()}
    for number, one in made.items():
        one[..., :3] = edited(one[..., :3], regions[number])
    return made


def reached(pixels: Pixels, threshold: float) -> dict[int, np.ndarray]:
    return {n: relevance_of(one) >= np.float32(threshold) for n, one in pixels.items()}


def check_same(found: Pixels, wanted: Pixels) -> None:
    assert found.keys() == wanted.keys()
    for number, one in wanted.items():
        assert np.array_equal(found[number], one), number


def split(tiles: ModuleType, image: bpy.types.Image, atlas: np.ndarray) -> dict[int, np.ndarray]:
    return {one.number: atlas[one.slices] for one in tiles.atlas_of(image).tiles}


def test_every_tile_is_edited_into_a_new_image_with_these_tiles(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    box: bpy.types.Object,
    server: FakeServer,
    tiles: ModuleType,
    tmp_path: Path,
) -> None:
    original, pixels = node(box).image, pixels_of()
    edit(connected, scene)
    shown = node(box).image
    assert (shown.name, shown.source) == ("paint (edited)", "TILED")
    assert {one.tile_number for one in shown.packed_files} == set(TILES)
    assert [tuple(one.size)[::-1] for one in shown.tiles] == list(TILES.values())
    check_same(tiles_of(shown, tmp_path), inverted(pixels, reached(pixels, SUGGESTED)))
    check_same(tiles_of(original, tmp_path), pixels)
    request = submits(server)[-1].request
    check_same(split(tiles, original, request.texture), pixels)
    assert np.ptp(request.views.astype(int), axis=0).max() > 50, "the views show something"
    OPS.show_texture(what="RELEVANCE")
    assert node(box).image.source == "TILED"
    found = split(tiles, original, connected.pictures.read_gray(node(box).image))
    check_same(found, {number: relevance_of(one) for number, one in pixels.items()})
    OPS.revert_texture()
    assert node(box).image == original
    left = [one.name for one in bpy.data.images if "edited" in one.name or "relev" in one.name]
    assert left == []


def test_what_is_sent_lies_on_the_mesh_as_in_blender(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    box: bpy.types.Object,
    server: FakeServer,
    tmp_path: Path,
) -> None:
    """Each half of each tile has a colour: faces have it in the request's texture and views."""
    pixels = {number: np.full((*size, 4), 255, np.uint8) for number, size in TILES.items()}
    for number, one in pixels.items():
        half = one.shape[1] // 2
        one[:, :half, :3] = (number % 100 * 17, 200, 30)
        one[:, half:, :3] = (number % 100 * 17, 60, 220)
    node(box).image = udim.image(tmp_path, pixels, "flat")
    scene.watch_your_steps.texture.views = 12  # of all sides
    edit(connected, scene)
    request = submits(server)[-1].request
    height, width = request.texture.shape[:2]
    middles = request.uvs.mean(axis=1)
    seen = request.texture[
        ((1 - middles[:, 1]) * height).astype(int), (middles[:, 0] * width).astype(int)
    ]
    wanted = []
    for face in range(6):
        one = pixels[list(TILES)[face % 3]]
        wanted += 2 * [one[0, 0 if face < 3 else -1]]
    assert np.array_equal(seen, wanted)
    colours = {tuple(int(c) for c in one[:3]) for one in wanted}
    views = request.views.reshape(-1, 3).astype(int)
    for colour in colours:
        assert (np.abs(views - colour).max(axis=1) <= 2).sum() > 5, "Workbench shows every tile"


def test_a_face_on_the_border_of_a_tile_belongs_to_it(
    connected: SimpleNamespace, scene: bpy.types.Scene, box: bpy.types.Object, server: FakeServer
) -> None:
    """Such as one without an area, or one that ends a rounding beyond."""
    layer = box.data.uv_layers.active
    for loop in box.data.polygons[0].loop_indices:
        layer.uv[loop].vector = (1.0, 1.0)
    for loop in box.data.polygons[1].loop_indices:
        u, v = layer.uv[loop].vector
        layer.uv[loop].vector = (1.0 if u < 1.2 else 2.0003, v)
    edit(connected, scene)
    uvs = submits(server)[-1].request.uvs
    assert np.ptp(uvs[:2].reshape(-1, 2), axis=0).max() < 1e-6
    assert (uvs >= 0).all()
    assert (uvs <= 1).all()


@pytest.mark.parametrize("kind", ["disk", "uv names", "painted", "generated", "gray"])
def test_tiles_are_read_wherever_they_are(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    box: bpy.types.Object,
    tmp_path: Path,
    kind: str,
) -> None:
    pixels = pixels_of()
    if kind == "disk":
        image = udim.image(tmp_path, pixels, "disk", packed=False)
    elif kind == "uv names":
        for number, one in pixels.items():
            row, column = divmod(number - 1001, 10)
            (tmp_path / f"uv.u{column + 1}_v{row + 1}.png").write_bytes(png(one))
        image = bpy.data.images.new("uv", 1, 1)
        image.filepath_raw = str(tmp_path / "uv.<UVTILE>.png")
        image.source, image.alpha_mode = "TILED", "CHANNEL_PACKED"
    elif kind == "painted":
        image = udim.image(tmp_path, pixels, "painted", packed=False)
        pixels[1001][-1, 0] = (255, 0, 51, 255)
        image.pixels[:4] = (1, 0, 0.2, 1)
        image.update()
    elif kind == "generated":
        image = bpy.data.images.new("generated", 32, 24, tiled=True)
        image.generated_color = (0, 1, 0, 1)
        for index, number in enumerate(list(TILES)[1:]):
            image.tiles.new(number)
            image.tiles.active_index = index + 1
            height, width = TILES[number]
            with bpy.context.temp_override(edit_image=image):
                bpy.ops.image.tile_fill(color=(1, 0, 0, 1), width=width, height=height)
        for number, one in pixels.items():
            one[:] = (0, 255, 0, 255) if number == 1001 else (255, 0, 0, 255)
    else:
        grays = {n: one[..., :1] for n, one in pixels.items()}
        for number, one in grays.items():
            pixels[number] = np.concatenate([one, one, one, np.full_like(one, 255)], axis=2)
        image = udim.image(tmp_path, grays, "gray")
    node(box).image = image
    is_dirty, generated = image.is_dirty, [one.is_generated_tile for one in image.tiles]
    edit(connected, scene)
    assert node(box).image.name.endswith("(edited)")
    wanted = inverted(pixels, reached(pixels, SUGGESTED))
    check_same(tiles_of(node(box).image, tmp_path), wanted)
    assert image.is_dirty == is_dirty
    assert [one.is_generated_tile for one in image.tiles] == generated, "it is as it was"
    assert [one.name for one in bpy.data.images if "watch your" in one.name] == []


def test_undo_and_the_saved_file(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    box: bpy.types.Object,
    regions: ModuleType,  # noqa: F811
    tmp_path: Path,
) -> None:
    bpy.ops.ed.undo_push(message="before")
    edit(connected, scene)
    bpy.ops.ed.undo()
    assert node(bpy.data.objects["box"]).image.name == "paint"
    bpy.ops.ed.redo()
    assert node(bpy.data.objects["box"]).image.name == "paint (edited)"
    for file in tmp_path.glob("paint*"):
        file.unlink()
    reopen(connected, tmp_path / "a.blend")
    shown, pixels = node(bpy.data.objects["box"]).image, pixels_of()
    inside = reached(pixels, SUGGESTED)
    check_same(tiles_of(shown, tmp_path), inverted(pixels, inside))
    mine = shown.watch_your_steps
    check_same(tiles_of(mine.original, tmp_path), pixels)
    assert regions.mask(mine.region).sum() >= sum(one.sum() for one in inside.values())


def test_the_previews_region_is_edited_and_corrected_on_every_tile(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    box: bpy.types.Object,
    server: FakeServer,
    tiles: ModuleType,
    regions: ModuleType,  # noqa: F811
    tmp_path: Path,
) -> None:
    scene.watch_your_steps.texture.snap = "nothing"
    image, pixels = node(box).image, pixels_of()
    region = preview(connected, scene)
    region.threshold = 0.6
    inside = reached(pixels, 0.6)
    check_same(split(tiles, image, regions.mask(region)), inside)

    assert OPS.paint_texture_region(brush="ADD") == {"FINISHED"}
    paint = region.paint
    assert [tuple(one.size)[::-1] for one in paint.tiles] == list(TILES.values())
    values = np.zeros((*TILES[1001], 4), np.float32)
    values[:3], values[-3:] = (1, 1, 1, 1), (0, 0, 0, 1)
    paint.pixels.foreach_set(values[::-1].ravel())  # Blender gives scripts the first tile only
    paint.update()
    OPS.end_texture_painting()
    inside[1001][:3], inside[1001][-3:] = True, False
    check_same(split(tiles, image, regions.mask(region)), inside)

    marked = {number: np.zeros((2 * h, 2 * w), np.uint8) for number, (h, w) in TILES.items()}
    marked[1002][:16] = 255
    del marked[1012]
    mask = udim.image(tmp_path, {n: one[..., None] for n, one in marked.items()}, "mask")
    assert OPS.import_texture_mask_image(image=mask.name, how="ADD") == {"FINISHED"}
    inside[1002][:8] = True
    check_same(split(tiles, image, regions.mask(region)), inside)

    (tmp_path / "one.png").write_bytes(png(np.full((8, 8), 255, np.uint8)))
    with pytest.raises(RuntimeError, match="has none"):
        OPS.import_texture_mask(filepath=str(tmp_path / "one.png"))

    reopen(connected, tmp_path / "a.blend")
    box = bpy.data.objects["box"]
    bpy.context.view_layer.objects.active = box
    region = bpy.data.images["paint"].watch_your_steps.preview
    check_same(split(tiles, region.id_data, regions.mask(region)), inside)


def test_a_file_that_is_saved_while_a_tile_is_painted_has_all_tiles(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    box: bpy.types.Object,
    regions: ModuleType,  # noqa: F811
    tmp_path: Path,
) -> None:
    preview(connected, scene)
    OPS.paint_texture_region(brush="ADD")
    OPS.end_texture_painting()  # nothing was painted: it is not kept
    region = node(box).image.watch_your_steps.preview
    assert region.paint is None
    marked = {number: np.full((*size, 1), 255, np.uint8) for number, size in TILES.items()}
    OPS.import_texture_mask_image(image=udim.image(tmp_path, marked, "mask").name, how="ADD")
    reopen(connected, tmp_path / "a.blend")  # no tile of it has been read by now
    bpy.context.view_layer.objects.active = bpy.data.objects["box"]
    OPS.paint_texture_region(brush="REMOVE")
    region = bpy.data.images["paint"].watch_your_steps.preview
    values = np.zeros((*TILES[1001], 4), np.float32)
    values[..., 3] = 1
    region.paint.pixels.foreach_set(values.ravel())
    region.paint.update()
    reopen(connected, tmp_path / "b.blend")
    region = bpy.data.images["paint"].watch_your_steps.preview
    sizes = [tuple(one.size)[::-1] for one in region.paint.tiles]
    assert sizes == list(TILES.values())
    added, removed = regions.painted(region.paint)
    assert (added.sum(), removed.sum()) >= (16 * 16 + 40 * 24, 24 * 32)


def test_a_3d_edit_is_brought_into_every_tile(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    box: bpy.types.Object,
    tmp_path: Path,
) -> None:
    in_3d = scene.watch_your_steps.in_3d
    in_3d.views, in_3d.size = 5, 16
    for operator in (OPS.capture_scene, OPS.train_scene, OPS.edit_scene, OPS.bring_texture):
        operator()
        connected.session.wait_for_job(scene, SECONDS)
    pixels = pixels_of()
    made = tiles_of(node(box).image, tmp_path)
    check_same(made, inverted(pixels, reached(pixels, SUGGESTED)))


def test_what_was_painted_goes_with_the_edit_and_with_another_seed(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    box: bpy.types.Object,
    server: FakeServer,
    tiles: ModuleType,
    tmp_path: Path,
) -> None:
    image, pixels = node(box).image, pixels_of()
    preview(connected, scene).snap = "nothing"
    marked = {number: np.zeros((*size, 1), np.uint8) for number, size in TILES.items()}
    marked[1012][5:20] = 255
    mask = udim.image(tmp_path, marked, "mask")
    OPS.import_texture_mask_image(image=mask.name, how="REPLACE")
    edit(connected, scene)
    inside = {number: one[..., 0] > 0 for number, one in marked.items()}
    first = node(box).image
    check_same(tiles_of(first, tmp_path), inverted(pixels, inside))
    assert OPS.texture_again() == {"FINISHED"}
    connected.session.wait_for_job(scene, SECONDS)
    second = node(box).image
    assert second not in (first, image)
    check_same(split(tiles, image, submits(server)[-1].request.mask), inside)
    check_same(tiles_of(second, tmp_path), inverted(pixels, inside))


def test_a_moved_threshold_is_written_into_tiles_and_edited_on_top_of(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    box: bpy.types.Object,
    tmp_path: Path,
) -> None:
    pixels = pixels_of()
    edit(connected, scene)
    first = node(box).image
    first.watch_your_steps.region.threshold = 0.8
    assert OPS.apply_texture_threshold() == {"FINISHED"}
    made = node(box).image
    mixed = inverted(pixels, reached(pixels, 0.8))
    check_same(tiles_of(made, tmp_path), mixed)
    scene.watch_your_steps.texture.base = "EDIT"
    edit(connected, scene)
    top = node(box).image
    assert top.watch_your_steps.original == made
    check_same(tiles_of(top, tmp_path), inverted(mixed, reached(mixed, SUGGESTED)))


def test_what_is_unpacked_is_not_written_over_each_other(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    box: bpy.types.Object,
    regions: ModuleType,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Two edits of one texture, and their corrections."""
    edits = []
    for shade in (0, 255):
        preview(connected, scene)
        marked = {number: np.zeros((*size, 1), np.uint8) for number, size in TILES.items()}
        marked[1001][5:20], marked[1012][:3] = 255 - shade, 255
        mask = udim.image(tmp_path, marked, f"mask{shade}")
        OPS.import_texture_mask_image(image=mask.name, how="REPLACE")
        edit(connected, scene)
        edits.append(node(box).image)
    kept = [*edits, *(one.watch_your_steps.region.paint for one in edits)]
    names, before = [one.name for one in kept], [tiles_of(one, tmp_path) for one in kept]
    folder = tmp_path / "unpacked"
    folder.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "a.blend"))
    for name in names:
        bpy.data.images[name].unpack(method="WRITE_LOCAL")
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(folder / "a.blend"))
    assert len(list((folder / "textures").glob("*edited*"))) == 2 * len(TILES)
    for name, wanted in zip(names, before, strict=True):
        check_same(tiles_of(bpy.data.images[name], tmp_path), wanted)


@pytest.mark.parametrize("name", ["paint.<UDIM>.png", "Öl/größe.v2", "x" * 63, "y" * 250])
def test_images_may_have_any_name(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    box: bpy.types.Object,
    tmp_path: Path,
    name: str,
) -> None:
    node(box).image.name = name
    edit(connected, scene)
    reopen(connected, tmp_path / "a.blend")
    pixels = pixels_of()
    shown = node(bpy.data.objects["box"]).image
    check_same(tiles_of(shown, tmp_path), inverted(pixels, reached(pixels, SUGGESTED)))


@pytest.mark.parametrize("engine", ["CYCLES"])
def test_the_slider_changes_what_every_tile_shows(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    engine: str,
    tmp_path: Path,
) -> None:
    """A pixel of the render for a texel."""
    pixels = pixels_of({1001: (16, 16), 1002: (16, 16)})
    for one in pixels.values():
        one[..., 3] = 255
    node(thing).image = udim.image(tmp_path, pixels)
    node(thing).interpolation = "Closest"
    flat_tiles(thing)
    scene.watch_your_steps.texture.snap = "nothing"
    preview(connected, scene)
    edit(connected, scene)
    region = node(thing).image.watch_your_steps.region
    for threshold in (0.4, 0.7):
        region.threshold = threshold
        wanted = inverted(pixels, reached(pixels, threshold))
        seen = rendered(scene, thing, engine, tmp_path)
        whole = np.concatenate([wanted[1001], wanted[1002]], axis=1)[..., :3]
        assert np.abs(seen - whole.astype(int)).max() <= 2, threshold


def flat_tiles(thing: bpy.types.Object) -> None:  # noqa: F811
    """Two squares beside each other, with a whole tile each, which shine."""
    mesh = bpy.data.meshes.new("tiles")
    places = [(x, y, 2) for y in (-1, 1) for x in (-2, 0, 2)]
    mesh.from_pydata(places, [], [(0, 1, 4, 3), (1, 2, 5, 4)])
    layer = mesh.uv_layers.new(name="UVMap")
    layer.uv.foreach_set("vector", [0, 0, 1, 0, 1, 1, 0, 1, 1, 0, 2, 0, 2, 1, 1, 1])
    mesh.materials.append(thing.active_material)
    thing.data = mesh
    thing.location.z = 0
    tree = mesh.materials[0].node_tree
    emission = tree.nodes.new("ShaderNodeEmission")
    tree.links.new(node(thing).outputs["Color"], emission.inputs["Color"])
    tree.links.new(emission.outputs[0], tree.get_output_node("CYCLES").inputs["Surface"])


def rendered(
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    engine: str,
    folder: Path,
) -> np.ndarray:
    """The two squares from above, int (16, 32, 3), row 0 at the top."""
    lens = bpy.data.cameras.new("above")
    lens.type, lens.ortho_scale = "ORTHO", 4
    camera = bpy.data.objects.new("above", lens)
    camera.location = (0, 0, 9)
    scene.collection.objects.link(camera)
    scene.camera, scene.render.engine = camera, engine
    scene.render.resolution_x, scene.render.resolution_y = 32, 16
    scene.render.resolution_percentage = 100
    scene.render.filter_size = 0.01
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    scene.cycles.pixel_filter_type = "BOX"
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = str(folder / "seen.png")
    for other in scene.objects:
        other.hide_render = other != thing
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    values = np.array(image.pixels[:]).reshape(16, 32, -1)[::-1, :, :3]
    bpy.data.images.remove(image)
    return np.rint(values * 255).astype(int)


def _across(box: bpy.types.Object, _: Path) -> None:
    layer = box.data.uv_layers.active
    layer.uv[0].vector = (1.4, 0.5)


def _no_tile(box: bpy.types.Object, _: Path) -> None:
    udim.lay_out(box, (1001, 1002, 1013))


def _beside_all(box: bpy.types.Object, _: Path) -> None:
    for one in box.data.uv_layers.active.uv:
        one.vector = (one.vector[0] - 4, one.vector[1])


def _no_file(box: bpy.types.Object, folder: Path) -> None:
    image = udim.image(folder, pixels_of(), "gone", packed=False)
    (folder / "gone.1002.png").unlink()
    node(box).image = image


def _deep(box: bpy.types.Object, folder: Path) -> None:
    pixels = pixels_of()
    pixels[1012] = pixels[1012].astype(np.uint16) * 257
    node(box).image = udim.image(folder, pixels, "deep")


def _unsaved(box: bpy.types.Object, _: Path) -> None:
    image = bpy.data.images.new("unsaved", 32, 24, tiled=True)
    for index, number in enumerate((1002, 1012)):
        image.tiles.new(number)
        image.tiles.active_index = index + 1
        with bpy.context.temp_override(edit_image=image):
            bpy.ops.image.tile_fill(color=(1, 0, 0, 1), width=8, height=8)
    image.pixels[0] = 0.5
    image.update()
    node(box).image = image


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_across, "across the border of two UDIM tiles"),
        (_no_tile, 'lie on tile 1013, which "paint" does not have'),
        (_beside_all, "a place without a tile"),
        (_no_file, 'Tile 1002 of "gone" has no pixels'),
        (_deep, "more than 8 bits a channel"),
        (_unsaved, "save or pack them first"),
    ],
)
def test_what_cannot_be_edited_is_said_in_one_sentence(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    box: bpy.types.Object,
    server: FakeServer,
    tmp_path: Path,
    spoil: Callable[[bpy.types.Object, Path], None],
    words: str,
) -> None:
    spoil(box, tmp_path)
    shown = node(box).image
    assert words in refusal("edit_texture")
    assert words in refusal("preview_texture")
    assert submits(server) == []
    assert node(box).image == shown
    assert connected.session.job_of(scene) is None


def test_tiles_that_change_while_they_are_edited_lose_nothing(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    box: bpy.types.Object,
    server: FakeServer,
    tmp_path: Path,
) -> None:
    image = node(box).image
    server.manual = True
    OPS.edit_texture()
    connected.session.wait(lambda: bool(submits(server)), SECONDS)
    other = udim.image(tmp_path, pixels_of({1001: (8, 8)}), "other")
    image.user_remap(other)
    image.name, other.name = "old", "paint"
    scene.watch_your_steps.job_image = other
    server.finish(connected.session.job_of(scene).id)
    with pytest.raises(Exception, match="have changed meanwhile"):
        connected.session.wait_for_job(scene, SECONDS)
    assert node(box).image == other


def test_tiles_never_lie_over_each_other(
    tiles: ModuleType, addon: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 4, 5, 6, 13):
        sizes = {1001 + one: tuple(rng.integers(1, 60, 2).tolist()) for one in range(count)}
        image = like(sizes)
        atlas = tiles.atlas_of(image)
        covered = np.zeros(atlas.shape, np.int32)
        for tile in atlas.tiles:
            rows, columns = tile.slices
            assert rows.start >= tiles.RIM <= columns.start
            covered[rows.start - 8 : rows.stop + 8, columns.start - 8 : columns.stop + 8] += 1
        area = sum((h + 16) * (w + 16) for h, w in sizes.values())
        assert (covered.max(), covered.sum()) == (1, area)
        assert [one.number for one in atlas.tiles] == sorted(sizes)
    four = tiles.atlas_of(like({1001 + one: (4096, 4096) for one in range(4)}))
    assert (four.shape, four.rim) == ((8192, 8192), 0), "where there is no room"
    with pytest.raises(importlib.import_module(f"{tiles.__package__}.scene_error").SceneError) as e:
        tiles.atlas_of(like({1001 + one: (4096, 4096) for one in range(5)}))
    assert "Make Texture" in str(e.value)


def like(sizes: dict[int, tuple[int, int]]) -> SimpleNamespace:
    found = [SimpleNamespace(number=n, size=size[::-1]) for n, size in sizes.items()]
    return SimpleNamespace(name="paint", tiles=found[::-1])
