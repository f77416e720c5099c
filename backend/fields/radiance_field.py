"""The radiance field: nerfstudio's nerfacto, built, rendered, and its loss.

All of it in box coordinates (see capture.py): distances too.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from backend.captures.lens import Intrinsics
from backend.errors import BadInput
from backend.fields.config import FieldConfig
from backend.fields.coverage import Coverage
from backend.fields.fast_nerfacto import accelerate
from backend.fields.nerfstudio_compat import (
    TCNN_EXISTS,
    CameraOptimizerConfig,
    FieldHeadNames,
    NerfactoModel,
    NerfactoModelConfig,
    RayBundle,
    RaySamples,
    SceneBox,
    absent_packages,
    distortion_loss,
    ds_nerf_depth_loss,
    scale_gradients_by_distance_squared,
)
from backend.fields.rays import ViewRays
from backend.fields.sampling import PlacesSampler, Within

OPAQUE = 250
"""Alpha, of 255, from which on a pixel is opaque: lossy formats do not keep 255."""
CHUNK = 4096
"""Rays that are rendered at once."""


@dataclass(frozen=True)
class March:
    """What a field says about m rays.

    Attributes:
        samples: nerfstudio's samples (m, s) along the rays.
        density: float32 (m, s, 1), light lost in a box unit.
        weights: float32 (m, s, 1), w_i: how much of a ray's light each sample sends.
        rgb: float32 (m, 3), sRGB 0..1, over the background.
        last: float32 (m, 3), the last sample's colour.
        proposed: (weights, samples) of the proposals, and of the field at the end.
    """

    samples: RaySamples
    density: Tensor
    weights: Tensor
    rgb: Tensor
    last: Tensor
    proposed: tuple[list[Tensor], list[RaySamples]]


@dataclass(frozen=True)
class Rendering:
    """A picture of a field.

    Attributes:
        rgb: float32 (H, W, 3), sRGB 0..1; over black where the field is see-through and was trained
            on views with alpha.
        depth: float32 (H, W), along the ray to where half of its light comes from, in box units.
        accumulation: float32 (H, W), how much of the light the field sends, 0..1.
        relevance: float32 (H, W), 0..1, where it was asked for.
    """

    rgb: NDArray[np.float32]
    depth: NDArray[np.float32]
    accumulation: NDArray[np.float32]
    relevance: NDArray[np.float32] | None = None


def nerfacto_config(config: FieldConfig, implementation: str, alpha: bool) -> NerfactoModelConfig:
    """The config in nerfstudio's own words.

    Args:
        config: all numbers of it.
        implementation: "torch" or "tcnn".
        alpha: whether the views have alpha; then what is behind the field stays empty.
    """
    settings = {
        "near_plane": config.near,
        "far_plane": config.far,
        "background_color": "random" if alpha else "last_sample",
        "hidden_dim": config.hidden,
        "hidden_dim_color": config.hidden,
        "num_levels": config.levels,
        "base_res": config.lowest_resolution,
        "max_res": config.highest_resolution,
        "log2_hashmap_size": config.log2_table_size,
        "num_proposal_iterations": len(config.proposals),
        "num_proposal_samples_per_ray": tuple(p.samples for p in config.proposals),
        "num_nerf_samples_per_ray": config.samples,
        "proposal_net_args_list": [
            {
                "hidden_dim": p.hidden,
                "log2_hashmap_size": p.log2_table_size,
                "num_levels": p.levels,
                "max_res": p.highest_resolution,
                "use_linear": False,
            }
            for p in config.proposals
        ],
        "proposal_warmup": config.proposal_warm_up,
        "proposal_weights_anneal_max_num_iters": config.anneal_iterations,
        "distortion_loss_mult": config.distortion,
        "use_appearance_embedding": config.appearance > 0,
        "appearance_embed_dim": config.appearance,
        "average_init_density": config.average_initial_density,
        "camera_optimizer": CameraOptimizerConfig(
            mode="SO3xR3" if config.optimise_cameras else "off"
        ),
        "implementation": implementation,
    }
    return NerfactoModelConfig(**settings)


def nerfacto(config: FieldConfig, views: int, implementation: str, alpha: bool) -> NerfactoModel:
    """nerfstudio's model for that many views, with random parameters; see `nerfacto_config`."""
    with absent_packages():
        return nerfacto_config(config, implementation, alpha).setup(
            scene_box=SceneBox(aabb=torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])),
            num_train_data=views,
        )


def depth_loss(march: March, distances: Tensor, sigma: float) -> Tensor:
    """DS-NeRF's loss (Eq. 7), as nerfstudio's depth-nerfacto takes it: the mean over the field and
    its proposals.

    Args:
        march: m rays.
        distances: float32 (m), as `RadianceField.losses` takes them.
        sigma: standard deviation of these, in box units.
    """
    parts = []
    for weights, samples in zip(*march.proposed, strict=True):
        ends, starts = samples.frustums.ends, samples.frustums.starts
        parts.append(
            ds_nerf_depth_loss(
                weights,
                distances[:, None],
                (starts + ends) / 2,
                ends - starts,
                sigma**2,  # nerfstudio's sigma is a variance
            )
        )
    return torch.stack(parts).mean()


class RadianceField:
    """A nerfacto field.

    Attributes:
        config: all numbers of it.
        model: nerfstudio's NerfactoModel, with the fast parts of fast_nerfacto.py.
        names: the views that it is trained on, as the capture calls them.
        alpha: whether these views have alpha.
        implementation: "torch", or "tcnn" (tiny-cuda-nn), whose parameters lie differently.
    """

    def __init__(
        self,
        config: FieldConfig,
        names: Sequence[str],
        alpha: bool = False,
        device: torch.device | str = "cpu",
        seed: int = 0,
        implementation: str | None = None,
    ) -> None:
        """Makes a field with random parameters that `seed` fixes.

        Raises:
            ValueError: the implementation is not there on this machine.
        """
        device = torch.device(device)
        can_tcnn = TCNN_EXISTS and device.type == "cuda"
        self.implementation = implementation or ("tcnn" if can_tcnn else "torch")
        if self.implementation == "tcnn" and not can_tcnn:
            raise BadInput(
                "This field was trained with tiny-cuda-nn: open it on a CUDA device where that is "
                "installed, or train it anew."
            )
        self.config, self.names, self.alpha = config, tuple(names), alpha
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.model = nerfacto(config, len(self.names), self.implementation, alpha)
        self._coverage = Coverage(config.near, config.far) if config.covered_by > 0 else None
        self._within: Within | None = None
        if self._coverage is not None:
            self.model.collider = self._coverage
        accelerate(self.model)
        self.model.to(device)
        self.model.eval()

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.model.device

    def parameters(self) -> list[nn.Parameter]:
        """All parameters of fields and proposals, and the poses' corrections."""
        return list(self.model.parameters())

    def cover(self, poses: NDArray[np.float64], intrinsics: Sequence[Intrinsics]) -> None:
        """Tells the field what its training views see, where its config asks for that.

        Args:
            poses: (n, 4, 4), camera to box coordinates.
            intrinsics: the n pinhole cameras.
        """
        if self._coverage is not None:
            self._coverage.cover(poses, intrinsics, self.config.covered_by)

    def look_into(self, within: Within, share: float) -> None:
        """From now on, while training, takes such a share of a ray's samples (0..1, below 1; 0 for
        none) within places that it passes through, whatever the field says of them.
        """
        if share > 0:
            sampler = self.model.proposal_sampler
            sampler.pdf_sampler = PlacesSampler(sampler.pdf_sampler, within, share)
            self._within = within

    def march(self, bundle: RayBundle, appearing: Tensor | None = None) -> March:
        """Samples the field along rays: as nerfstudio's get_outputs, without its pictures of
        depth. Stochastic, and from the corrected poses of the training views, while
        `model.training`.

        Args:
            bundle: m rays.
            appearing: bool (m), the rays that teach nothing behind the places which the field was
                told to look into; None for none.
        """
        model = self.model
        if model.training:
            model.camera_optimizer.apply_to_raybundle(bundle)
        samples, weights_list, samples_list = self._sampled(bundle)
        found = model.field(samples)
        if appearing is not None and self._within is not None:
            share = self._within(samples)
            behind = (share == 0) & (share.cumsum(dim=-2) > 0) & appearing[:, None, None]
            found = {name: torch.where(behind, x.detach(), x) for name, x in found.items()}
        density = found[FieldHeadNames.DENSITY]
        if self.config.scale_gradients:
            found = scale_gradients_by_distance_squared(found, samples)
        weights = samples.get_weights(found[FieldHeadNames.DENSITY])
        rgb = model.renderer_rgb(rgb=found[FieldHeadNames.RGB], weights=weights)
        proposed = ([*weights_list, weights], [*samples_list, samples])
        return March(samples, density, weights, rgb, found[FieldHeadNames.RGB][:, -1], proposed)

    @torch.no_grad()
    def weigh(self, bundle: RayBundle) -> tuple[Tensor, Tensor]:
        """Positions (m, s, 3) of samples along rays, in the box's coordinates before contraction,
        and their weights w_i (m, s, 1), in eval mode and without a gradient.
        """
        model = self.model
        samples, _, _ = self._sampled(bundle)
        density, _ = model.field.get_density(samples)
        return samples.frustums.get_positions(), samples.get_weights(density)

    def _sampled(self, bundle: RayBundle) -> tuple[RaySamples, list[Tensor], list[RaySamples]]:
        """Samples along rays, and the proposed weights and samples that led to them."""
        model = self.model
        sampler = model.proposal_sampler
        since = sampler._steps_since_update
        found: tuple[RaySamples, list[Tensor], list[RaySamples]] = sampler(
            model.collider(bundle), density_fns=model.density_fns
        )
        if not torch.is_grad_enabled():
            # Who only looks teaches the proposal networks nothing. Else every picture of a training
            # would put their next lesson off, and the field would depend on when it is looked at.
            sampler._steps_since_update = since
        return found

    def shown(self, weights: Tensor) -> Tensor:
        """How much of what a ray shows each sample sends, float32 (m, s, 1): the weights w_i, and
        where the views are opaque what these leave is the last sample's, as it is of the colour.
        """
        if self.alpha:
            return weights
        left = 1 - weights.sum(dim=-2, keepdim=True)
        return torch.cat([weights[..., :-1, :], weights[..., -1:, :] + left], dim=-2)

    def losses(
        self, march: March, colours: Tensor, distances: Tensor | None = None, step: int = 0
    ) -> dict[str, Tensor]:
        """nerfacto's losses of a march in training, and those of `FieldConfig.sparsity`, `.depth`
        and `.solid`.

        Args:
            march: m rays.
            colours: float32 (m, 3) or (m, 4) with straight alpha, 0..1: what the views show there.
            distances: float32 (m), along the rays to the surfaces that they show, in box units, 0
                where that is not known; None where it is for none.
            step: of the training.
        """
        weights_list, samples_list = march.proposed
        accumulation = self.model.renderer_accumulation(weights=march.weights)
        rgb, covered, opaque = march.rgb, accumulation, torch.ones_like(accumulation)
        if self.alpha:
            # Random colours behind what is opaque press for any density at all, the earlier the
            # nearer to the camera: fog of the mean colour. They are for what is see-through.
            opaque = (colours[:, 3:] >= OPAQUE / 255).to(rgb)
            rgb = rgb + opaque * (1 - accumulation) * march.last
            covered = accumulation + opaque * (1 - accumulation)
        outputs = {
            "rgb": rgb,
            "accumulation": covered,
            "weights_list": weights_list,
            "ray_samples_list": samples_list,
        }
        metrics = {"distortion": distortion_loss(weights_list, samples_list)}
        losses: dict[str, Tensor] = self.model.get_loss_dict(outputs, {"image": colours}, metrics)
        if self.config.sparsity > 0:
            empty = torch.log1p(2 * march.density**2).mean()
            losses["sparsity"] = self.config.sparsity * empty
        if self.config.solid > 0:
            first, full = self.config.solid_from, self.config.solid_after
            due = min(1.0, max(0.0, (step - first) / max(1, full - first)))
            lost = (opaque * (1 - accumulation)).mean()
            losses["solid"] = due * self.config.solid * lost
        if self.config.depth > 0 and distances is not None:
            losses["depth"] = self.config.depth * depth_loss(
                march, distances, self.config.depth_sigma
            )
        return losses

    def render(
        self,
        pose: NDArray[np.float64],
        camera: Intrinsics,
        relevance: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> Rendering:
        """A picture, in eval mode: no noise, the mean appearance.

        Args:
            pose: (4, 4), camera (OpenGL) to box coordinates.
            camera: the pinhole camera.
            relevance: gives float32 (m, 1) of samples' positions and how much of what is seen they
                send, as `weigh` and `shown` give them; such as `RelevanceField.composite`.
        """
        rays = ViewRays(pose[None], [camera], self.device)
        shaded = self.shade(rays.bundle(rays.of_view(0)), relevance).cpu().numpy()
        shaded = shaded.reshape(camera.height, camera.width, -1)
        return Rendering(
            shaded[..., :3],
            shaded[..., 3],
            shaded[..., 4],
            None if relevance is None else shaded[..., 5],
        )

    @torch.no_grad()
    def shade(
        self, bundle: RayBundle, relevance: Callable[[Tensor, Tensor], Tensor] | None = None
    ) -> Tensor:
        """What rays show in eval mode: float32 (m, 5 or 6), channels red, green, blue, depth,
        accumulation, and relevance where it is asked for. As in `Rendering`.
        """
        model, was_training = self.model, self.model.training
        model.eval()
        parts = []
        for at in range(0, len(bundle), CHUNK):
            march = self.march(bundle[at : at + CHUNK])
            channels = [
                march.rgb,
                model.renderer_depth(weights=march.weights, ray_samples=march.samples),
                model.renderer_accumulation(weights=march.weights),
            ]
            if relevance is not None:
                positions = march.samples.frustums.get_positions()
                channels.append(relevance(positions, self.shown(march.weights)))
            parts.append(torch.cat(channels, -1))
        model.train(was_training)
        return torch.cat(parts)

    def pull(self, bundle: RayBundle, gradient: Tensor) -> None:
        """Carries a gradient by colours on to the parameters' own (not to those of the proposals,
        nor of the cameras).

        Who differentiates a whole picture renders it by `shade` first, without keeping what is
        between rays and colours, and then comes here: only CHUNK rays take memory at once, and
        those without a gradient no time (deferred back-propagation: Zhang et al., "ARF", 2022).

        Args:
            bundle: m rays.
            gradient: float32 (m, 3), of a loss by the colours that `shade` gives of them.
        """
        model, sampler = self.model, self.model.proposal_sampler
        was_training, since = model.training, sampler._steps_since_update
        model.eval()
        (moved,) = torch.where((gradient != 0).any(dim=-1))
        for rays in moved.split(CHUNK):
            self.march(bundle[rays]).rgb.backward(gradient[rays])
        sampler._steps_since_update = since  # no loss of the proposals is on these marches
        model.train(was_training)

    @torch.no_grad()
    def density(self, positions: Tensor) -> Tensor:
        """Density (m), light lost in a box unit, at positions float32 (m, 3) in box coordinates; 0
        where no ray samples the field, as too few training views see the place.
        """
        found: Tensor = self.model.field.density_fn(positions[:, None])[:, 0, 0]
        return found if self._coverage is None else found * self._coverage.at(positions)

    @torch.no_grad()
    def corrected(self, pose: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        """The pose (4, 4) of a view, as training has corrected it; itself where the view was not
        trained on, or poses are not corrected.
        """
        if not self.config.optimise_cameras or name not in self.names:
            return pose
        index = torch.tensor([self.names.index(name)], device=self.device)
        change = self.model.camera_optimizer(index)[0].double().cpu().numpy()
        moved = pose.copy()
        moved[:3, :3] = change[:, :3] @ pose[:3, :3]
        moved[:3, 3] += change[:, 3]
        return moved

    def state(self) -> dict[str, Any]:
        """All that a checkpoint must hold to go on exactly: parameters and the sampler's state."""
        sampler = self.model.proposal_sampler
        return {
            "model": self.model.state_dict(),
            # numpy's number as Python's: what is loaded must not run code
            "sampler": [float(sampler._anneal), sampler._steps_since_update, sampler._step],
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave."""
        self.model.load_state_dict(state["model"])
        sampler = self.model.proposal_sampler
        sampler._anneal, sampler._steps_since_update, sampler._step = state["sampler"]

    def facts(self) -> dict[str, Any]:
        """All that it takes to make this field again, as JSON."""
        return {
            "config": dataclasses.asdict(self.config),
            "names": list(self.names),
            "alpha": self.alpha,
            "implementation": self.implementation,
        }
