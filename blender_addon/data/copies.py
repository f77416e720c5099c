"""Whose a scene's results are.

Blender copies a scene with all its settings, so that a copy (or a scene that was appended from
another file) begins with pointers to its original's pictures, the id of its original's job and that
of its capture. Each scene therefore carries the mark of the scene that its settings were written
for; where that is another one, the scene gets pictures of its own, leaves the job to its original,
and knows that the capture is only borrowed. Where the scene that a capture belongs to is deleted,
or captured anew, a copy that uses it takes its place.
"""

import secrets

import bpy

from . import migration
from .meshes.brought_mesh import collection_of

OWN_PICTURES = ("render_image", "relevance_image", "mask_image", "painted_image")
"""What a new picture takes the place of, everywhere where it is used. Other pictures are never
changed, nor removed while something uses them: scenes may share those."""
KEPT_PICTURES = ("image", "render", "relevance", "root", "mask", "painted", "full", "full_render")
"""What an edit that is kept points to."""
BASES = ("base_image", "root_image")
"""What the next edit is made of, beside OWN_PICTURES."""
JOB = (
    "job",
    "job_kind",
    "job_subject",
    "job_instruction",
    "job_then",
    "job_asked",
    "job_object",
    "job_image",
    "pending_image",
    "queue",
    "queue_words",
    "waiting",
)
_claimed = False
"""Whether the scenes of the open file were claimed."""
_captures: set[str] = set()
"""Captures that scenes of the open file own, or owned since it was opened."""
_process = secrets.token_hex(8)
"""Session uids of Blender mean nothing in another process, from which a scene may be appended."""


def settle(scene: bpy.types.Scene) -> None:
    """Make a scene's results its own, if they are not yet. Call this before they are changed."""
    if not _claimed:  # the add-on was switched on while a file is open
        claim_all()
    settings = scene.watch_your_steps
    if settings.owner == _mark(scene) or not scene.is_editable:
        return
    _make_own(scene)
    migration.migrate(scene)  # it may have been appended from an older file
    settings.owner = _mark(scene)


def settle_all() -> None:
    """The same for every scene of the file."""
    for scene in bpy.data.scenes:
        settle(scene)
    _captures.update(_owners())
    _inherit()


def is_borrowed(scene: bpy.types.Scene) -> bool:
    """Whether the scene uses a capture that belongs to another one, so that it must not change it.

    An heir's capture is borrowed only while its owner is there, which undo may have brought back.
    """
    in_3d = scene.watch_your_steps.in_3d
    return in_3d.borrowed and _owners().get(in_3d.capture) != scene


def _owners() -> dict[str, bpy.types.Scene]:
    """Whose each capture in the open file is: the first scene that does not borrow it, or where
    there is none, the first heir. What a copy says that is not settled yet is its original's.
    """
    found: dict[str, bpy.types.Scene] = {}
    settled = [scene for scene in editable() if scene.watch_your_steps.owner == _mark(scene)]
    for heirs in (False, True):
        for scene in settled:
            in_3d = scene.watch_your_steps.in_3d
            if in_3d.capture and (in_3d.inherited if heirs else not in_3d.borrowed):
                found.setdefault(in_3d.capture, scene)
    return found


def _inherit() -> None:
    """Give captures that no scene has any more, for example because it was deleted, to the first
    copy that uses them. What was appended from another file belongs to a scene there.
    """
    orphans = _captures - _owners().keys()
    for scene in editable():
        in_3d = scene.watch_your_steps.in_3d
        if in_3d.capture in orphans:
            in_3d.inherited = True
            orphans.remove(in_3d.capture)


def claim_all() -> None:
    """A file was opened: its scenes are what they were when it was saved. Of scenes that share
    what cannot be shared, because the file was saved without this add-on, the first by name has it.
    """
    global _claimed
    _claimed = True
    _captures.clear()
    taken: set[object] = set()
    for scene in editable():
        settings = scene.watch_your_steps
        job, shown = settings.job, {getattr(settings, name) for name in OWN_PICTURES}
        capture = settings.in_3d.capture if not settings.in_3d.borrowed else ""
        brought = collection_of(scene)
        if shown & taken:
            _part_pictures(scene)
        if job in taken:
            _leave_job(settings)
        if capture in taken:
            _borrow_capture(settings.in_3d)
        if brought in taken:
            settings.in_3d.borrowed_collection = brought
        settings.owner = _mark(scene)
        taken |= ({job, capture, brought} | shown) - {None, ""}
    _captures.update(_owners())


def editable() -> list[bpy.types.Scene]:
    """The scenes of this file, without those that are linked from another one."""
    return [scene for scene in bpy.data.scenes if scene.is_editable]


def own_picture(scene: bpy.types.Scene, name: str, image: bpy.types.Image) -> bpy.types.Image:
    """What a scene can show as one of its OWN_PICTURES, `name`, in place of `image`: a copy where
    another scene shows that one already, which would lose it with the next picture of this scene.
    """
    others = (other for other in bpy.data.scenes if other != scene)
    if all(getattr(other.watch_your_steps, name) != image for other in others):
        return image
    if image.is_dirty:
        image.pack()  # only what is packed is copied
    return image.copy()


def _make_local(settings: bpy.types.PropertyGroup) -> None:
    """Put the pictures of a scene that was linked from another file into this one, as the scene is:
    Blender leaves them in the other file, where nothing of them can be changed.
    """
    shown = (*OWN_PICTURES, *BASES, "edit_image", "scene_image", "sheet_image")
    for group, names in ((settings, shown), *((one, KEPT_PICTURES) for one in settings.edits)):
        for name in names:
            image = getattr(group, name)
            if image is not None and image.library is not None:
                setattr(group, name, image.make_local())


def _mark(scene: bpy.types.Scene) -> str:
    return f"{_process} {scene.session_uid}"


def _make_own(scene: bpy.types.Scene) -> None:
    settings = scene.watch_your_steps
    _leave_job(settings)
    _make_local(settings)
    _part_pictures(scene)
    brought = collection_of(scene)
    others = (other for other in bpy.data.scenes if other != scene)
    if any(brought in other.collection.children.values() for other in others):
        settings.in_3d.borrowed_collection = brought
    _borrow_capture(settings.in_3d)


def _leave_job(settings: bpy.types.PropertyGroup) -> None:
    for name in JOB:
        settings.property_unset(name)


def _part_pictures(scene: bpy.types.Scene) -> None:
    settings = scene.watch_your_steps
    for name in OWN_PICTURES:
        image = getattr(settings, name)
        if image is not None:
            setattr(settings, name, own_picture(scene, name, image))


def _borrow_capture(in_3d: bpy.types.PropertyGroup) -> None:
    if in_3d.capture and not in_3d.sealed:
        in_3d.forget_capture()  # its original goes on with it
    in_3d.borrowed, in_3d.inherited = bool(in_3d.capture), False
