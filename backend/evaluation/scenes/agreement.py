"""How far the edited views of a scene agree on what they show: the mean difference of pixels that
show the same point, by the demo world's true depth and not by that of any field.
"""

import numpy as np
import torch

from backend.evaluation.scenes.scene_figures import Figures
from backend.evaluation.scenes.scene_world import WorldScene
from backend.scenes.edit import SceneEdit
from backend.scenes.methods.correspondence import PosedView, apart
from backend.scenes.scene import Scene


def agreement(scene: Scene, world: WorldScene, edit: SceneEdit) -> Figures:
    """The mean absolute difference, of 255, of pixels that show the same point in two views: as
    each view was edited last, as the field was trained on them at the end, and of the photos there,
    which is what shading, sampling and the photos' own edges leave. Only pixels that were edited in
    both count; what no two views share is missing.
    """
    names = scene.field.names
    latest = {one.name: one for one in edit.views}
    trained = edit.checkpoint()[1]["pixels"][:, :3].numpy()
    ends = np.cumsum(
        [world.captured[scene.capture.names.index(n)].image[..., 0].size for n in names]
    )
    kinds: dict[str, list[PosedView]] = {"edited": [], "trained on": [], "photos": []}
    for name, pixels in zip(names, np.split(trained, ends[:-1]), strict=True):
        if name not in latest:
            continue
        view = world.captured[scene.capture.names.index(name)]
        rows, columns = np.mgrid[: view.image.shape[0], : view.image.shape[1]] + 0.5
        rays = view.camera.intrinsics.directions(np.stack([columns, rows], -1))
        distances = view.depth() * np.linalg.norm(rays, axis=-1).astype(np.float32)
        inside = torch.from_numpy(latest[name].mask & (distances > 0))
        for kind, image in (
            ("edited", latest[name].after),
            ("trained on", pixels.reshape(view.image.shape)),
            ("photos", view.image),
        ):
            colours = torch.from_numpy(np.asarray(image, np.float32))
            kinds[kind].append(
                PosedView(
                    view.camera.pose,
                    view.camera.intrinsics,
                    colours,
                    inside,
                    torch.from_numpy(distances),
                )
            )
    found = {f"views apart, {kind}": apart(views) for kind, views in kinds.items()}
    return {name: value for name, value in found.items() if value is not None}
