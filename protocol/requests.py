"""What a client asks a job for, and what the job returns, one struct each.

A struct checks its own values, so a decoded message is a valid message.
"""

import math
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from .corrections import Correction, PaintedView
from .settings import (
    EditSettings,
    FieldSettings,
    Iterations,
    MapSettings,
    MeshSettings,
    MethodOfScene,
    PictureMapSettings,
    RegionSettings,
    SceneRegionSettings,
    SceneThreshold,
    SceneUpdateSettings,
    SpeedSettings,
    TextureSettings,
    Threshold,
)
from .text import check_instruction
from .values import (
    DATASET_UPDATE,
    MAX_FRAME_BYTES,
    MAX_LEFT_OUT,
    MAX_PAINTED_VIEWS,
    MAX_PICTURES,
    MAX_VIEWS,
    Box,
    CaptureId,
    EditName,
    EditPreset,
    ImageSide,
    Snap,
    Unit,
    check_array,
    check_mesh,
    check_shape,
    check_texture,
)

# ---------------------------------------------------------------- what a client asks for


class RelevanceRequest(msgspec.Struct, frozen=True, kw_only=True, tag="relevance_request"):
    """Where does this instruction apply in this image?"""

    image: NDArray[np.uint8]
    """uint8 (H, W, 3), sRGB, row 0 at the top."""
    instruction: str
    """As `text.wrong_instruction` allows it."""
    maps: PictureMapSettings = PictureMapSettings()

    def __post_init__(self) -> None:
        check_array(self.image, "image", "uint8", (3,))
        check_instruction(self.instruction)


class EditRequest(msgspec.Struct, frozen=True, kw_only=True, tag="edit_request"):
    """Edit the image where the instruction applies, and leave every other byte as it is."""

    image: NDArray[np.uint8]
    """uint8 (H, W, 3), sRGB, row 0 at the top."""
    instruction: str
    """As `text.wrong_instruction` allows it."""
    threshold: Threshold | None = None
    """Relevance from which a pixel is edited; 0 edits everything, None takes the map's own
    suggestion."""
    maps: PictureMapSettings = PictureMapSettings()
    """Of the relevance map, where no mask is given."""
    settings: EditSettings = EditSettings()
    speed: SpeedSettings = SpeedSettings()
    mask: NDArray[np.bool_] | None = None
    """bool (H, W) to edit inside instead of the thresholded relevance, or None."""
    region: RegionSettings = RegionSettings()
    """How the map becomes the region, where no mask is given."""
    things: NDArray[np.uint16] | None = None
    """uint16 (H, W), each pixel's thing, for a region of whole things; None where none are
    known."""
    correction: Correction = Correction()
    """What is corrected of that region, where no mask is given."""
    crop: Box | None = None
    """The part of the image to work on, in place of one that the settings' detail says; nothing
    outside it is edited."""

    def __post_init__(self) -> None:
        check_array(self.image, "image", "uint8", (3,))
        check_instruction(self.instruction)
        for name, array, dtype in (
            ("mask", self.mask, "bool"),
            ("things", self.things, "uint16"),
            ("clicked", self.correction.clicked, "uint8"),
            ("painted", self.correction.painted, "uint8"),
        ):
            if array is not None:
                check_array(array, name, dtype, ())
                if array.shape != self.image.shape[:2]:
                    raise ValueError(
                        f"{name} is {array.shape} but the image is {self.image.shape[:2]}"
                    )


class MeshViews(msgspec.Struct, frozen=True, kw_only=True):
    """A mesh, its texture, and renders of it: what every request about a texture has.

    World coordinates are the scene's own.
    """

    corners: NDArray[np.floating]
    """float32 or float64 (F, 3, 3), the triangles' corners in world coordinates, F at least 1."""
    uvs: NDArray[np.floating]
    """float32 or float64 (F, 3, 2), their texture coordinates; v = 1 is the texture's first row."""
    occluders: NDArray[np.floating]
    """float32 or float64 (G, 3, 3), triangles that hide the mesh and are not painted; none are
    allowed."""
    texture: NDArray[np.uint8]
    """uint8 (T, S, 3 or 4), sRGB, row 0 at the top, with or without alpha."""
    views: NDArray[np.uint8]
    """uint8 (V, H, W, 3), sRGB, renders of the mesh, V at least 1."""
    intrinsics: tuple[float, float, float, float]
    """Of all views, in pixels: fx, fy, cx, cy, as in PutView."""
    camera_to_world: NDArray[np.floating]
    """float32 or float64 (V, 4, 4), rigid, as in PutView."""
    lit: bool
    """Whether the views show the mesh in light, or its bare texture."""

    def __post_init__(self) -> None:
        check_mesh(self.corners, self.uvs, self.occluders)
        check_texture(self.texture, "texture")
        check_shape(self.views, "views", ("uint8",), (None, None, None, 3))
        if not 1 <= len(self.views) <= MAX_VIEWS:
            raise ValueError(f"there are {len(self.views)} views; there must be 1 to {MAX_VIEWS}")
        check_array(self.views[0], "views", "uint8", (3,))
        real = ("float32", "float64")
        check_shape(self.camera_to_world, "camera_to_world", real, (len(self.views), 4, 4))
        fx, fy, *middle = self.intrinsics
        if not (min(fx, fy) > 0 and all(map(math.isfinite, (fx, fy, *middle)))):
            raise ValueError("intrinsics must be finite, and focal lengths above 0")


class TextureRequest(MeshViews, frozen=True, kw_only=True, tag="texture_request"):
    """Edit the texture of a mesh where the instruction applies, by editing views of it."""

    instruction: str
    """As `text.wrong_instruction` allows it."""
    threshold: Threshold | None = None
    """Relevance from which a texel is edited; None parts the relevance of all views together."""
    maps: MapSettings = MapSettings()
    """Of each view's relevance map."""
    settings: TextureSettings = TextureSettings()
    """Its seed fixes the order of the views, noise levels and noise."""
    region: RegionSettings = RegionSettings()
    """How the relevance of the texels becomes the region."""
    things: NDArray[np.int32] | None = None
    """int32 (F,), 0 or more, a label of each triangle's thing, for a region of whole things; None
    for the mesh's own pieces, or surfaces with no break in the texture."""
    mask: NDArray[np.bool_] | None = None
    """bool (T, S), the texels to edit instead of those that a thresholded relevance reaches, or
    None. No relevance is looked for then; `threshold`, `maps` and `region` say nothing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_instruction(self.instruction)
        _check_labels(self.things, len(self.corners))
        if self.mask is not None:
            check_shape(self.mask, "mask", ("bool",), self.texture.shape[:2])


class TextureRelevanceRequest(
    MeshViews, frozen=True, kw_only=True, tag="texture_relevance_request"
):
    """Where on a mesh, and so where in its texture, does this instruction apply?"""

    instruction: str
    """As `text.wrong_instruction` allows it."""
    maps: MapSettings = MapSettings()
    """Of each view's relevance map."""
    things: NDArray[np.int32] | None = None
    """As in TextureRequest."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_instruction(self.instruction)
        _check_labels(self.things, len(self.corners))


class TrainSceneRequest(msgspec.Struct, frozen=True, kw_only=True, tag="train_scene_request"):
    """Train the radiance field of a sealed capture, or go on with the one that is there."""

    capture: CaptureId
    settings: FieldSettings = FieldSettings()
    """Its iterations include those of earlier runs; its seed is that of parameters and rays, where
    training begins."""
    anew: bool = False
    """Delete the field that is there and all its edits first. Without this, a field that has had
    its steps is returned at once, and one of another preset is refused."""


class EditSceneRequest(msgspec.Struct, frozen=True, kw_only=True, tag="edit_scene_request"):
    """Edit the radiance field of a capture where the instruction applies, or go on with that edit.

    The capture and its own field stay as they are.
    """

    capture: CaptureId
    name: EditName
    """Of the edit. One that is there already goes on if everything else is the same, too."""
    instruction: str
    """As `text.wrong_instruction` allows it."""
    preset: EditPreset = FieldSettings.preset
    """All numbers that are not given here; each preset is meant for the field of its name, and
    "paper" for any. What `settings` and `region` leave at None is the preset's own."""
    threshold: SceneThreshold | None = None
    """Relevance from which a place is edited, on the scale that is calibrated to the scene's own
    relevance; None takes 0.5, where the region's outline follows the scene's edges best."""
    settings: SceneUpdateSettings = SceneUpdateSettings()
    region: SceneRegionSettings = SceneRegionSettings()
    """What the region keeps to; things are those of the capture's views."""
    iterations: Iterations | None = None
    """Training steps with edited views at most; None for the program's own."""
    method: MethodOfScene = DATASET_UPDATE
    """How the field comes to show the edit. "score_distillation" edits inside a region that is
    known before: not with the preset "paper"."""
    base: EditName | None = None
    """Name of an earlier edit to go on from; None starts at the capture's own field."""
    painted: Annotated[tuple[PaintedView, ...], Meta(max_length=MAX_PAINTED_VIEWS)] = ()
    """What was painted on the scene as it was before this edit, in the capture's coordinates. It is
    carried to all views; of what two of these show, the later one wins. Not with the preset
    "paper"."""

    def __post_init__(self) -> None:
        check_instruction(self.instruction)


class SceneMeshRequest(msgspec.Struct, frozen=True, kw_only=True, tag="scene_mesh_request"):
    """Make a textured mesh of a capture's radiance field."""

    capture: CaptureId
    edit: EditName | None = None
    """An edit whose colours become a second texture of the mesh."""
    settings: MeshSettings = MeshSettings()


class SceneTextureRequest(MeshViews, frozen=True, kw_only=True, tag="scene_texture_request"):
    """Bring what an edit of a capture's radiance field has changed into the texture of a mesh that
    the capture shows. The views look from where the capture's cameras stand, or near there.
    """

    capture: CaptureId
    edit: EditName
    threshold: Threshold | None = None
    """Relevance from which a texel is edited, on the scale that is calibrated to the scene; None
    takes that of the edit."""
    region: RegionSettings = RegionSettings()
    """How the field's relevance becomes the region."""
    things: NDArray[np.int32] | None = None
    """As in TextureRequest."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_labels(self.things, len(self.corners))


def _check_labels(things: NDArray[np.int32] | None, faces: int) -> None:
    """Raise ValueError unless there is a label of 0 or more for each triangle, or none at all."""
    if things is not None:
        check_shape(things, "things", ("int32",), (faces,))
        if things.min() < 0:
            raise ValueError("things must be labels of 0 or more")


def wrong_film(frames: int, width: int, height: int) -> str:
    """Why so many frames of this size cannot be asked for at once, without a full stop; "" where
    they can.
    """
    if 0 < frames * width * height * 3 <= MAX_FRAME_BYTES:
        return ""
    return (
        f"{frames} frames of {width}x{height} are asked for; there must be 1 at least, and at most "
        f"{MAX_FRAME_BYTES >> 20} MiB of them: render fewer at a time, or smaller ones"
    )


class SceneRenderRequest(msgspec.Struct, frozen=True, kw_only=True, tag="scene_render_request"):
    """Render a capture's radiance field from cameras of the client's, as along a camera path."""

    capture: CaptureId
    edit: EditName | None = None
    """The edit whose field is rendered; None for the capture's own."""
    width: ImageSide
    height: ImageSide
    """Of every frame, in pixels."""
    intrinsics: NDArray[np.float64]
    """float64 (V, 4), of each frame in pixels: fx, fy, cx, cy, as in PutView; V at least 1."""
    camera_to_world: NDArray[np.float64]
    """float64 (V, 4, 4), rigid, as in PutView."""

    def __post_init__(self) -> None:
        check_shape(self.intrinsics, "intrinsics", ("float64",), (None, 4))
        count = len(self.intrinsics)
        check_shape(self.camera_to_world, "camera_to_world", ("float64",), (count, 4, 4))
        if not (np.isfinite(self.intrinsics).all() and (self.intrinsics[:, :2] > 0).all()):
            raise ValueError("intrinsics must be finite, and focal lengths above 0")
        if wrong := wrong_film(count, self.width, self.height):
            raise ValueError(wrong)


ImageRequest = RelevanceRequest | EditRequest
SceneRequest = (
    TrainSceneRequest
    | EditSceneRequest
    | SceneMeshRequest
    | SceneTextureRequest
    | SceneRenderRequest
)
TextureJobRequest = TextureRequest | TextureRelevanceRequest
Request = ImageRequest | TextureJobRequest | SceneRequest


# ---------------------------------------------------------------- what a job returns


class RelevanceResult(msgspec.Struct, frozen=True, kw_only=True, tag="relevance_result"):
    """The relevance map of one image and instruction."""

    relevance: NDArray[np.float32]
    """float32 (H, W), 0..1, at the size of the image that was sent."""
    spread: Annotated[float, Meta(ge=0.0)]
    """Mean standard deviation of the raw differences over the seeds, relative to their mean;
    0 with one seed."""
    magnitude: Annotated[float, Meta(ge=0.0)]
    """Highest raw difference (noise units, before clamping): how strongly the text matters."""
    suggested_threshold: Unit
    """Where the map falls into two parts by itself: a good start for the slider."""
    evidence: Unit | None
    """The prompt check's number: how much of what the instruction would change is the same for
    every noise. None with one seed."""
    applies: bool | None
    """The prompt check: whether `evidence` reaches the model's limit. Where not, a note says so.
    None with one seed."""
    notes: tuple[str, ...] = ()
    """Sentences that the person should read, such as a shortened instruction."""

    def __post_init__(self) -> None:
        check_array(self.relevance, "relevance", "float32", ())


class EditResult(msgspec.Struct, frozen=True, kw_only=True, tag="edit_result"):
    """An edited image; every pixel outside `mask`, and outside the rim around it where one was
    asked for, has the bytes of the image that was sent.
    """

    image: NDArray[np.uint8]
    """uint8 (H, W, 3), sRGB, row 0 at the top."""
    mask: NDArray[np.bool_]
    """bool (H, W): where the image was edited."""
    relevance: NDArray[np.float32] | None
    """float32 (H, W), 0..1, not snapped (`region.snapped` does that), or None where the request
    brought its own mask."""
    threshold: Unit | None
    """What the snapped map was thresholded at, or None where the request brought its own mask."""
    suggested_threshold: Unit | None
    """As in RelevanceResult, or None where the request brought its own mask."""
    evidence: Unit | None
    """As in RelevanceResult, or None where the request brought its own mask."""
    applies: bool | None
    """As in RelevanceResult, or None where the request brought its own mask."""
    took: Snap | None = None
    """What the region keeps to, or None where the request brought its own mask. Where that is not
    what was asked for, one of the notes says why."""
    crops: tuple[Box, ...] = ()
    """The parts of the image that were worked on; none where nothing was."""
    worked_at: tuple[tuple[ImageSide, ImageSide], ...] = ()
    """Rows and columns that each was scaled to."""
    work: str = ""
    """All of it in one sentence; "" where nothing was."""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_array(self.image, "image", "uint8", (3,))
        check_array(self.mask, "mask", "bool", ())
        if self.relevance is not None:
            check_array(self.relevance, "relevance", "float32", ())


class TextureResult(msgspec.Struct, frozen=True, kw_only=True, tag="texture_result"):
    """An edited texture; every texel outside `region` has the bytes of the texture that was
    sent, and alpha is the same everywhere.
    """

    texture: NDArray[np.uint8]
    """uint8 (T, S, 3 or 4), as the texture that was sent."""
    relevance: NDArray[np.float32] | None
    """float32 (T, S), 0..1, 0 where no view shows the texel; None where the request brought its own
    mask."""
    region: NDArray[np.bool_]
    """bool (T, S), the texels that were edited, with the margin around the UV islands."""
    threshold: Unit | None
    """What the relevance was thresholded at, or None where the request brought its own mask."""
    applies: bool | None
    """The prompt check: whether the mean evidence of all views, each weighted with how much the
    instruction would change in it, reaches the model's limit for views. None with one seed, or
    where the request brought its own mask."""
    edited_share: Unit
    """Of the texels that lie on the mesh, how much was edited."""
    rerender_difference: Unit | None
    """Mean absolute difference between the edited views and the new texture seen from there, over
    the region; None where nothing was edited."""
    took: Snap = "nothing"
    """What the region keeps to. Where that is not what was asked for, one of the notes says why."""
    of_things: str = ""
    """Of which things it is made, where they are whole ones: "pieces" of the mesh, "surfaces"
    without a break in the texture, or "things" that the request has labelled."""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_texture(self.texture, "texture")
        for name, array, dtype in (
            ("relevance", self.relevance, "float32"),
            ("region", self.region, "bool"),
        ):
            if array is not None:
                check_shape(array, name, (dtype,), self.texture.shape[:2])


class TextureRelevanceResult(
    msgspec.Struct, frozen=True, kw_only=True, tag="texture_relevance_result"
):
    """The relevance of a mesh's texels, once for each thing that a region can keep to: the region
    is where the chosen one reaches a threshold. All have the margin around the UV islands, and are
    0 where no view shows the texel.
    """

    relevance: NDArray[np.float32]
    """float32 (T, S), 0..1, as the views' maps say it."""
    edges: NDArray[np.float32]
    """float32 (T, S), 0..1, of maps that keep to the edges in the views."""
    things: NDArray[np.float32] | None
    """float32 (T, S), 0..1, the same all over each thing; None where whole things do not explain
    the maps."""
    of_things: str = ""
    """As in TextureResult."""
    suggested_threshold: Unit
    """Where the maps of all views together fall into two parts by themselves."""
    applies: bool | None
    """As in TextureResult."""
    seen_share: Unit
    """Of the texels that lie on the mesh, how many some view shows."""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_array(self.relevance, "relevance", "float32", ())
        for name, array in (("edges", self.edges), ("things", self.things)):
            if array is not None:
                check_shape(array, name, ("float32",), self.relevance.shape)


class TrainSceneResult(msgspec.Struct, frozen=True, kw_only=True, tag="train_scene_result"):
    """A trained radiance field. It stays with the capture."""

    steps: Annotated[int, Meta(ge=0)]
    """That it has had, all runs together."""
    held_out_psnr: float | None
    """Decibels, on pixels of views that it was not trained on: one in eight, and one at least. What
    the field shows from new places; None where it was not measured yet."""
    seconds: Annotated[float, Meta(ge=0.0)]
    """That training took, all runs together."""
    preview: NDArray[np.uint8]
    """uint8 (h, w, 3), small: the field from one of the capture's cameras."""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_array(self.preview, "preview", "uint8", (3,))


class ScenePicture(msgspec.Struct, frozen=True, kw_only=True):
    """How an edited scene looks from one of the capture's cameras; large views are scaled down."""

    view: str
    """The capture's name of the view."""
    before: NDArray[np.uint8]
    """uint8 (h, w, 3), sRGB, row 0 at the top: the field that the edit began with."""
    after: NDArray[np.uint8]
    """uint8 (h, w, 3): the edited field."""
    relevance: NDArray[np.float32] | None
    """float32 (h, w), 0..1, on the scale of the threshold, of what `before` shows; None without a
    relevance field."""

    def __post_init__(self) -> None:
        check_array(self.before, "before", "uint8", (3,))
        check_shape(self.after, "after", ("uint8",), self.before.shape)
        if self.relevance is not None:
            check_shape(self.relevance, "relevance", ("float32",), self.before.shape[:2])


class EditSceneResult(msgspec.Struct, frozen=True, kw_only=True, tag="edit_scene_result"):
    """An edited radiance field. It stays with the capture, beside the field that it came from."""

    name: EditName
    threshold: Unit | None
    """What the relevance was thresholded at, on the calibrated scale. Without a relevance field it
    is what each view's own map was thresholded at, None where each had its own suggestion."""
    applies: bool | None
    """The prompt check, as in TextureResult, of all views that the field was trained on; None where
    it was not made."""
    edited_views: Annotated[int, Meta(ge=0)]
    """How many edits of single views went into it."""
    pictures: Annotated[tuple[ScenePicture, ...], Meta(max_length=MAX_PICTURES)]
    edited_share: Unit | None
    """Of the pictures' pixels, how many are in the region; None without a relevance field."""
    change_inside: Unit | None
    """Mean absolute difference between before and after in the pictures' regions, as a share of
    the range of colours; None without a relevance field, or where no picture shows the region."""
    change_outside: Unit | None
    """The same outside the regions."""
    left_out_count: Annotated[int, Meta(ge=0)] = 0
    """How many views stayed as they were, as nothing in them is relevant enough."""
    left_out: Annotated[tuple[str, ...], Meta(max_length=MAX_LEFT_OUT)] = ()
    """Their names, or the first of them."""
    notes: tuple[str, ...] = ()


class SceneMeshResult(msgspec.Struct, frozen=True, kw_only=True, tag="scene_mesh_result"):
    """A textured mesh of a scene, in the capture's own coordinates."""

    vertices: NDArray[np.float64]
    """float64 (V, 3)."""
    faces: NDArray[np.int32]
    """int32 (F, 3), indices of vertices, counter-clockwise seen from outside."""
    uvs: NDArray[np.float32]
    """float32 (F, 3, 2), of each face's corners; v = 1 is the textures' first row."""
    texture: NDArray[np.uint8]
    """uint8 (T, T, 3), sRGB, row 0 at the top: the unedited field."""
    edited_texture: NDArray[np.uint8] | None
    """uint8 (T, T, 3): the edited field; None without an edit."""
    relevance_texture: NDArray[np.float32] | None
    """float32 (T, T), 0..1, on the scale of the threshold; None without a relevance field."""
    threshold: Unit | None
    """Of the edit; None without one."""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_shape(self.vertices, "vertices", ("float64",), (None, 3))
        check_shape(self.faces, "faces", ("int32",), (None, 3))
        check_shape(self.uvs, "uvs", ("float32",), (len(self.faces), 3, 2))
        check_array(self.texture, "texture", "uint8", (3,))
        size = self.texture.shape[:2]
        if self.edited_texture is not None:
            check_shape(self.edited_texture, "edited_texture", ("uint8",), (*size, 3))
        if self.relevance_texture is not None:
            check_shape(self.relevance_texture, "relevance_texture", ("float32",), size)
        if not ((self.faces >= 0) & (self.faces < len(self.vertices))).all():
            raise ValueError(f"faces must name vertices 0 to {len(self.vertices) - 1}")


class SceneTextureResult(TextureResult, frozen=True, kw_only=True, tag="scene_texture_result"):
    """The same, of the change that an edited radiance field has brought; `relevance` and
    `threshold` are on the scale that is calibrated to the scene.
    """


class SceneRenderResult(msgspec.Struct, frozen=True, kw_only=True, tag="scene_render_result"):
    """What the cameras of a SceneRenderRequest see of the field."""

    frames: NDArray[np.uint8]
    """uint8 (V, H, W, 3), sRGB, row 0 at the top; over black where the field is see-through and was
    trained on views with alpha."""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_shape(self.frames, "frames", ("uint8",), (None, None, None, 3))


ImageResult = RelevanceResult | EditResult
SceneResult = (
    TrainSceneResult | EditSceneResult | SceneMeshResult | SceneTextureResult | SceneRenderResult
)
Result = ImageResult | TextureResult | TextureRelevanceResult | SceneResult
