"""The views of a capture as fields are trained on them, and how well a field shows them."""

import dataclasses
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.captures.capture import Capture, Intrinsics, Pixels
from backend.errors import BadInput
from backend.fields import checkpoint
from backend.fields.radiance_field import OPAQUE, RadianceField
from backend.fields.rays import ViewRays

MEASURED_PIXELS = 8192
PIXELS_OF_EACH = 1024
"""Of a view that is measured by itself, at most."""


class Views:
    """Views with their pixels on a device.

    Attributes:
        names: n names.
        poses: float64 (n, 4, 4), camera to box coordinates.
        intrinsics: n pinhole cameras.
        rays: the rays through all pixels.
        pixels: uint8 (rays.total, 3 or 4), in the order of `rays`; alpha is straight.
        distances: float32 (rays.total), how far along its ray the surface is that a pixel shows, in
            box units, 0 where that is not known; None where no view has a depth.
        seen: int64, the pixels that no mask hides, in order; None where no view has a mask.
    """

    def __init__(self, capture: Capture, device: torch.device | str = "cpu") -> None:
        """Reads all images of the capture.

        Raises:
            CaptureError: an image cannot be read.
        """
        self.names = capture.names
        self.poses = capture.camera_to_box
        self.intrinsics = capture.intrinsics
        self.rays = ViewRays(self.poses, self.intrinsics, device)
        read = [capture.read(index) for index in range(len(capture))]
        images = [view.image for view in read]
        if any(view.alpha is not None and view.alpha.min() < OPAQUE for view in read):
            opaque = [np.full(image.shape[:2], 255, np.uint8) for image in images]
            alphas = [o if v.alpha is None else v.alpha for o, v in zip(opaque, read, strict=True)]
            images = [np.dstack(pair) for pair in zip(images, alphas, strict=True)]
        flat = [image.reshape(-1, image.shape[2]) for image in images]
        self.pixels = torch.from_numpy(np.concatenate(flat)).to(device)
        self.distances: Tensor | None = None
        if any(view.depth is not None for view in read):
            found = [
                _distances(view, camera).ravel() * capture.box_scale
                for view, camera in zip(read, self.intrinsics, strict=True)
            ]
            self.distances = torch.from_numpy(np.concatenate(found).astype(np.float32)).to(device)
        self.seen: Tensor | None = None
        if any(view.seen is not None for view in read):
            whole = [np.ones(v.image.shape[:2], bool) if v.seen is None else v.seen for v in read]
            seen = np.flatnonzero(np.concatenate([one.ravel() for one in whole]))
            if len(seen) == 0:
                raise BadInput(
                    f"The masks of {capture.folder} hide every pixel: they must be white where "
                    "views are to be trained on."
                )
            self.seen = torch.from_numpy(seen).to(device)

    def draw(self, count: int) -> Tensor:
        """int64 (count): pixels at random that no mask hides, by torch's own generator."""
        if self.seen is None:
            return self.rays.draw(count)
        return self.seen[torch.randint(len(self.seen), (count,), device=self.seen.device)]

    def spread(self, count: int) -> Tensor:
        """int64 (count or fewer): pixels that no mask hides, evenly over all views."""
        total = self.rays.total if self.seen is None else len(self.seen)
        device = self.pixels.device
        chosen = torch.linspace(0, total - 1, min(count, total), device=device).long()
        return chosen if self.seen is None else self.seen[chosen]

    def seen_of(self, view: int) -> Tensor:
        """int64, the pixels of one view that no mask hides, in order."""
        if self.seen is None:
            return self.rays.of_view(view)
        first, end = torch.searchsorted(self.seen, self.rays.starts[view : view + 2])
        return self.seen[first:end]

    @property
    def alpha(self) -> bool:
        """Whether the pixels have alpha."""
        return self.pixels.shape[1] == 4

    def fingerprint(self) -> str:
        """A text that tells views apart by pixels, poses, cameras, and depths and masks if they
        have any.
        """
        cameras = np.array([dataclasses.astuple(camera) for camera in self.intrinsics])
        further = [one.cpu().numpy() for one in (self.distances, self.seen) if one is not None]
        return checkpoint.fingerprint(self.pixels.cpu().numpy(), self.poses, cameras, *further)

    def colours(self, pixels: Tensor) -> Tensor:
        """float32 (m, 3 or 4), 0..1, of pixels int64 (m)."""
        return self.pixels[pixels].float() / 255

    def replace(self, view: int, image: NDArray[np.uint8]) -> None:
        """Puts another image uint8 (H, W, 3) in a view's place; its alpha stays."""
        self.pixels[self.rays.of_view(view), :3] = torch.from_numpy(image.reshape(-1, 3)).to(
            self.pixels.device
        )


def _distances(view: Pixels, camera: Intrinsics) -> NDArray[np.float64]:
    """float64 (H, W): how far along its ray the surface is that a pixel shows, in capture units; 0
    where that is not known, or the pixel shows what is behind the surface, too.
    """
    if view.depth is None:
        return np.zeros(view.image.shape[:2])
    rows, columns = np.mgrid[: camera.height, : camera.width] + 0.5
    rays = camera.directions(np.stack([columns, rows], axis=-1))  # of length 1 along the axis
    distances = view.depth * np.linalg.norm(rays, axis=-1)
    return distances if view.alpha is None else np.where(view.alpha == 255, distances, 0)


def held_out(count: int, every: int) -> list[int]:
    """Indices of the views that are not trained on: every n-th, from the middle of the first
    such run, or of all views where they are fewer; one at least, however few there are, as only it
    says what the field shows from elsewhere. None where `every` is 0.
    """
    return list(range(min(every, count) // 2, count, every)) if every > 0 else []


def psnr(shown: Tensor, true: Tensor) -> float:
    """Peak signal-to-noise ratio in decibels of values in 0..1, of the same shape."""
    return -10 * math.log10(max(float(((shown - true) ** 2).mean()), 1e-12))


def corrected_rays(field: RadianceField, views: Views) -> ViewRays:
    """The rays through all pixels of views, from their poses as training has corrected them."""
    poses = [
        field.corrected(pose, name) for pose, name in zip(views.poses, views.names, strict=True)
    ]
    return ViewRays(np.array(poses), views.intrinsics, field.device)


def psnr_of_views(field: RadianceField, views: Views) -> float:
    """PSNR in decibels of a field on pixels spread evenly over views, without those that masks
    hide, in eval mode, from their poses as training has corrected them.
    """
    return _psnr_at(field, views, corrected_rays(field, views), views.spread(MEASURED_PIXELS))


def psnr_of_each(field: RadianceField, views: Views) -> dict[str, float]:
    """As `psnr_of_views`, of every view by itself, but for those that masks hide all of."""
    rays, found = corrected_rays(field, views), {}
    for view, name in enumerate(views.names):
        pixels = views.seen_of(view)
        if len(pixels):
            chosen = torch.linspace(0, len(pixels) - 1, min(PIXELS_OF_EACH, len(pixels))).long()
            found[name] = _psnr_at(field, views, rays, pixels[chosen.to(pixels.device)])
    return found


def _psnr_at(field: RadianceField, views: Views, rays: ViewRays, pixels: Tensor) -> float:
    shown = field.shade(rays.bundle(pixels))[:, :3]
    return psnr(shown, field.model.renderer_rgb.blend_background(views.colours(pixels)))
