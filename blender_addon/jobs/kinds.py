"""All kinds of jobs by name; the names are saved in files."""

from . import (
    again_jobs,
    film_jobs,
    frame_jobs,
    full_size_jobs,
    picture_jobs,
    scene_jobs,
    texture_again_jobs,
    texture_each_jobs,
    texture_jobs,
    texture_preview_jobs,
)
from .job import Kind

KINDS: dict[str, Kind] = {
    "relevance": picture_jobs.RELEVANCE,
    "edit": picture_jobs.EDIT,
    again_jobs.KIND: again_jobs.EDIT_AGAIN,
    frame_jobs.KIND: frame_jobs.EDIT_FRAME,
    again_jobs.FULL_SIZE: full_size_jobs.EDIT_FULL_SIZE,
    "texture": texture_jobs.TEXTURE,
    texture_again_jobs.KIND: texture_jobs.TEXTURE,
    texture_each_jobs.KIND: texture_each_jobs.TEXTURE_IN_TURN,
    "texture_relevance": texture_preview_jobs.TEXTURE_RELEVANCE,
    "capture": scene_jobs.CAPTURE,
    "train": scene_jobs.TRAIN,
    "edit_scene": scene_jobs.EDIT_SCENE,
    "mesh": scene_jobs.MESH,
    "scene_texture": texture_jobs.SCENE_TEXTURE,
    "scene_render": film_jobs.SCENE_RENDER,
}
