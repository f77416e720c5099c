"""The pictures over the camera's frame in the 3D view.

Drawn by the GPU: the relevance map is uploaded once and the threshold is a number that the shader
compares with, so that moving the slider costs nothing but a redraw. Camera background images would
need new pixels at every step of the slider, and would mix with the artist's own.
"""

import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader
from numpy.typing import NDArray

from ..data import edits, layers, pictures, region
from ..jobs import again_jobs, session
from ..jobs.job import PAINTING
from ..jobs.kinds import KINDS
from .frame import Frame
from .picture_places import fits_camera, frame_in_image_editor
from .pointing import Canvas, visible_frame
from .waiting_tools import is_running

VIEWS = {"RENDER": 0, "RELEVANCE": 1, "MASK": 2, "EDIT": 3, "COMPARE": 4}
SAMPLERS = ("rendered", "edited", "relevance", "region")
KEPT_TEXTURES, KEPT_MAPS = 3, 2
LARGEST = 2048
IN_PROGRESS = 5  # the render, and inside the mask the edit so far
NEEDED = {
    "RENDER": ("render_image",),
    "RELEVANCE": ("render_image", "relevance_image"),
    "MASK": ("render_image", "relevance_image"),
    "EDIT": ("render_image", "edit_image"),
    "COMPARE": ("render_image", "edit_image"),
    "VARIANTS": ("sheet_image",),
    "IN_3D": ("scene_image",),
    "LAYERS": (),
}

VERTEX = """
void main()
{
  place = corner;
  gl_Position = ModelViewProjectionMatrix * vec4(position, 0.0, 1.0);
}
"""

# Values of the region are fetched, never interpolated: the line runs along the very pixels whose
# value is at least the threshold. They are the map's, snapped to what is there; the heat is the
# map's own. The colours of the map are matplotlib's "inferno" as a
# polynomial (Matt Zucker, shadertoy.com/view/WlfXRN, public domain). Blender itself sets
# srgbTarget: whether the framebuffer encodes what is written to it as sRGB.
FRAGMENT = """
vec3 inferno(float t)
{
  const vec3 c0 = vec3(0.00021894, 0.00165100, -0.01948090);
  const vec3 c1 = vec3(0.10651342, 0.56395644, 3.93271239);
  const vec3 c2 = vec3(11.60249308, -3.97285397, -15.94239411);
  const vec3 c3 = vec3(-41.70399614, 17.43639888, 44.35414520);
  const vec3 c4 = vec3(77.16293570, -33.40235894, -81.80730926);
  const vec3 c5 = vec3(-71.31942824, 32.62606426, 73.20951986);
  const vec3 c6 = vec3(25.13112622, -12.24266895, -23.07032500);
  return clamp(c0 + t * (c1 + t * (c2 + t * (c3 + t * (c4 + t * (c5 + t * c6))))), 0.0, 1.0);
}

vec3 to_linear(vec3 srgb)
{
  vec3 low = srgb / 12.92;
  vec3 high = pow((max(srgb, vec3(0.0)) + 0.055) / 1.055, vec3(2.4));
  return mix(high, low, vec3(lessThan(srgb, vec3(0.04045))));
}

float value_at(sampler2D map, vec2 where)
{
  ivec2 size = textureSize(map, 0);
  ivec2 pixel = clamp(ivec2(where * vec2(size)), ivec2(0), size - 1);
  return texelFetch(map, pixel, 0).r;
}

void main()
{
  vec3 shown = texture(rendered, place).rgb;
  if (viewMode == 1 || viewMode == 2) {
    float value = value_at(relevance, place);
    bool inside = value_at(region, place) >= threshold;
    float gray = dot(shown, vec3(0.2126, 0.7152, 0.0722));
    vec2 reach = abs(vec2(dFdx(place.x), dFdy(place.y))) * lineWidth;
    bool edge = false;
    for (int x = -1; x <= 1; x++) {
      for (int y = -1; y <= 1; y++) {
        edge = edge || ((value_at(region, place + vec2(x, y) * reach) >= threshold) != inside);
      }
    }
    if (viewMode == 1) {
      shown = mix(vec3(gray * 0.75), inferno(value), 0.35 + 0.5 * value);
      shown = edge ? vec3(1.0) : shown;
    }
    else {
      shown = inside ? shown : vec3(gray * 0.35);
      shown = edge ? vec3(1.0, 0.62, 0.1) : shown;
    }
  }
  if (viewMode == 3 || (viewMode == 4 && place.x >= splitAt) ||
      (viewMode == 5 && value_at(region, place) >= threshold))
  {
    shown = texture(edited, place).rgb;
  }
  if (viewMode == 4 && abs(place.x - splitAt) < abs(dFdx(place.x)) * lineWidth) {
    shown = vec3(1.0);
  }
  color = vec4(srgbTarget ? to_linear(shown) : shown, opacity);
}
"""


class Overlay:
    """What the GPU holds, and Blender's draw handler."""

    def __init__(self) -> None:
        self._shader: gpu.types.GPUShader | None = None
        self._maps: list[tuple[NDArray[np.float32], gpu.types.GPUTexture]] = []
        """Of the relevance and the region that were drawn last, with their values."""
        self._textures: list[tuple[NDArray[np.uint8], gpu.types.GPUTexture]] = []
        """Of the pictures that were drawn last, with their pixels."""
        self._handles: list[tuple[type[bpy.types.Space], object]] = []

    def add(self) -> None:
        """Draw from now on."""
        for space, draw in (
            (bpy.types.SpaceView3D, self.draw),
            (bpy.types.SpaceImageEditor, self.draw_in_image_editor),
        ):
            handle = space.draw_handler_add(draw, (), "WINDOW", "POST_PIXEL")
            self._handles.append((space, handle))

    def remove(self) -> None:
        """Draw no more, and let the GPU's memory go."""
        for space, handle in self._handles:
            space.draw_handler_remove(handle, "WINDOW")
        self._handles.clear()
        self._shader = None
        self._textures.clear()
        self._maps.clear()

    def draw(self) -> None:
        """Blender calls this at every redraw of a 3D view."""
        context = bpy.context
        settings = context.scene.watch_your_steps
        if not settings.show or not context.space_data.overlay.show_overlays:
            return
        frame = visible_frame(context.scene, context.space_data, context.region)
        if frame is not None and fits_camera(context.scene):
            self._draw_in(frame, context)

    def draw_in_image_editor(self) -> None:
        """Blender calls this at every redraw of an Image Editor."""
        context = bpy.context
        settings, space = context.scene.watch_your_steps, context.space_data
        if not settings.show or not space.overlay.show_overlays:
            return
        frame = frame_in_image_editor(settings, space, context.region)
        if frame is not None:
            self._draw_in(frame, context)
        elif is_running(context, PAINTING) and _can_show(settings, "MASK"):
            # the pixels of the mask's image are written when a stroke ends
            frame = Canvas(space, context.region).frame(context.scene)
            if frame is not None:
                scale = context.preferences.system.ui_scale
                self._draw_results(frame, settings, "MASK", scale)

    def _draw_in(self, frame: Frame, context: bpy.types.Context) -> None:
        settings = context.scene.watch_your_steps
        job = session.job_of(context.scene)
        if job is not None and job.preview is not None and KINDS[job.kind].over_camera:
            self._draw_progress(
                frame, settings, job.preview, masked=job.kind not in again_jobs.AGAIN
            )
        elif _can_show(settings, settings.view):
            scale = context.preferences.system.ui_scale
            self._draw_results(frame, settings, settings.view, scale)

    def _draw_results(
        self, frame: Frame, settings: bpy.types.PropertyGroup, view: str, ui_scale: float
    ) -> None:
        if view in ("VARIANTS", "IN_3D"):
            alone = self._picture_texture(getattr(settings, NEEDED[view][0]))
            self._draw(frame, VIEWS["EDIT"], (alone,) * 4, settings, line=ui_scale)
            return
        if view == "LAYERS":
            stacked = layers.composite(settings)
            if stacked is not None:
                alone = self._texture(stacked)
                self._draw(frame, VIEWS["EDIT"], (alone,) * 4, settings, line=ui_scale)
            return
        of_edit = "edit_image" in NEEDED[view]
        render = edits.beside(settings) if of_edit else settings.render_image
        rendered = self._picture_texture(render)
        edited = relevance = inside = rendered  # where the view does not use them
        if of_edit:
            edited = self._picture_texture(settings.edit_image)
        elif "relevance_image" in NEEDED[view]:
            relevance = self._map_texture(pictures.read_gray(settings.relevance_image))
            inside = self._region_texture(settings)
        textures = (rendered, edited, relevance, inside)
        self._draw(frame, VIEWS[view], textures, settings, line=ui_scale)

    def _draw_progress(
        self,
        frame: Frame,
        settings: bpy.types.PropertyGroup,
        preview: NDArray[np.uint8],
        masked: bool,
    ) -> None:
        """The edit so far: inside the mask, or all of it where there is no mask yet, or the edit
        has another one than is shown.
        """
        edited = self._texture(preview)
        known = settings.pending_image is None and settings.relevance_image is not None
        if masked and known and not lost_picture(settings, "RELEVANCE"):
            rendered = self._picture_texture(settings.render_image)
            inside = self._region_texture(settings)
            self._draw(frame, IN_PROGRESS, (rendered, edited, inside, inside), settings, line=1.0)
        else:
            self._draw(frame, VIEWS["EDIT"], (edited,) * 4, settings, line=1.0)

    def _picture_texture(self, image: bpy.types.Image) -> gpu.types.GPUTexture:
        """An image's own bytes: Blender's textures of images are without the view transform."""
        return self._texture(pictures.read_rgb(image))

    def _texture(self, rgb: NDArray[np.uint8]) -> gpu.types.GPUTexture:
        """sRGB values on the GPU, uploaded once, at most about `LARGEST` pixels wide and high."""
        for pixels, texture in self._textures:
            if pixels is rgb:
                return texture
        step = -(-max(rgb.shape[:2]) // LARGEST)
        seen = rgb[::step, ::step][::-1]
        rgba = np.ones((*seen.shape[:2], 4), np.float32)
        rgba[..., :3] = seen / np.float32(255)
        buffer = gpu.types.Buffer("FLOAT", rgba.size, rgba.reshape(-1))
        texture = gpu.types.GPUTexture(seen.shape[1::-1], format="RGBA8", data=buffer)
        self._textures = [*self._textures[-KEPT_TEXTURES + 1 :], (rgb, texture)]
        return texture

    def _region_texture(self, settings: bpy.types.PropertyGroup) -> gpu.types.GPUTexture:
        found = region.seen(settings)
        assert found is not None  # no picture is lost
        return self._map_texture(found.values)

    def _map_texture(self, values: NDArray[np.float32]) -> gpu.types.GPUTexture:
        """A map on the GPU as 32-bit floats, row 0 at the bottom; uploaded once."""
        for known, texture in self._maps:
            if known is values:
                return texture
        height, width = values.shape
        flipped = np.ascontiguousarray(values[::-1])
        buffer = gpu.types.Buffer("FLOAT", flipped.size, flipped.reshape(-1))
        texture = gpu.types.GPUTexture((width, height), format="R32F", data=buffer)
        self._maps = [*self._maps[-KEPT_MAPS + 1 :], (values, texture)]
        return texture

    def _draw(
        self,
        frame: Frame,
        view: int,
        textures: tuple[gpu.types.GPUTexture, ...],
        settings: bpy.types.PropertyGroup,
        line: float,
    ) -> None:
        if self._shader is None:
            self._shader = _compile()
        shader = self._shader
        batch = batch_for_shader(
            shader,
            "TRI_STRIP",
            {
                "position": (
                    (frame.left, frame.bottom),
                    (frame.right, frame.bottom),
                    (frame.left, frame.top),
                    (frame.right, frame.top),
                ),
                "corner": ((0, 0), (1, 0), (0, 1), (1, 1)),
            },
        )
        shader.uniform_float(
            "ModelViewProjectionMatrix",
            gpu.matrix.get_projection_matrix() @ gpu.matrix.get_model_view_matrix(),
        )
        for name, texture in zip(SAMPLERS, textures, strict=True):
            shader.uniform_sampler(name, texture)
        shader.uniform_int("viewMode", view)
        shader.uniform_float("opacity", settings.opacity)
        found = region.seen(settings)
        shader.uniform_float("threshold", 0.0 if found is None else float(found.threshold))
        shader.uniform_float("splitAt", settings.split)
        shader.uniform_float("lineWidth", line)
        gpu.state.blend_set("ALPHA")
        batch.draw(shader)
        gpu.state.blend_set("NONE")


def _can_show(settings: bpy.types.PropertyGroup, view: str) -> bool:
    """Whether all pictures of a view are there."""
    there = all(getattr(settings, name) is not None for name in NEEDED[view])
    return there and not lost_picture(settings, view)


def covers(scene: bpy.types.Scene, space: bpy.types.Space | None) -> bool:
    """Whether a picture lies over what a 3D view shows of the objects."""
    view = getattr(space, "region_3d", None)
    if space is None or view is None or view.view_perspective != "CAMERA":
        return False
    if not space.overlay.show_overlays:
        return False
    settings = scene.watch_your_steps
    return settings.show and _can_show(settings, settings.view) and fits_camera(scene)


def lost_picture(settings: bpy.types.PropertyGroup, view: str) -> str:
    """Why one of the pictures that a view shows cannot be read, without a full stop, or ""."""
    if view == "LAYERS":
        return layers.why_unseen(settings) if settings.layers else ""
    images = [getattr(settings, name) for name in NEEDED[view]]
    if "edit_image" in NEEDED[view]:
        images[0] = edits.beside(settings)
    lost = (pictures.why_lost(image) for image in images if image is not None)
    return next((reason for reason in lost if reason), "")


def _compile() -> gpu.types.GPUShader:
    info = gpu.types.GPUShaderCreateInfo()
    info.push_constant("MAT4", "ModelViewProjectionMatrix")
    info.push_constant("BOOL", "srgbTarget")
    info.push_constant("INT", "viewMode")
    for name in ("opacity", "threshold", "splitAt", "lineWidth"):
        info.push_constant("FLOAT", name)
    for slot, name in enumerate(SAMPLERS):
        info.sampler(slot, "FLOAT_2D", name)
    info.vertex_in(0, "VEC2", "position")
    info.vertex_in(1, "VEC2", "corner")
    interface = gpu.types.GPUStageInterfaceInfo("watch_your_steps_interface")
    interface.smooth("VEC2", "place")
    info.vertex_out(interface)
    info.fragment_out(0, "VEC4", "color")
    info.vertex_source(VERTEX)
    info.fragment_source(FRAGMENT)
    return gpu.shader.create_from_info(info)


_overlay = Overlay()


def register() -> None:
    """Draw in every 3D view."""
    _overlay.add()


def unregister() -> None:
    """Draw no more."""
    _overlay.remove()
