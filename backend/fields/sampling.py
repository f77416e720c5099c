"""Where along a ray a field is sampled while it is trained.

A trained field is sampled where its proposals say that something is. Of places where nothing is yet
nothing is learnt then, and what is to appear there is painted on what lies behind them instead.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from backend.fields.nerfstudio_compat import PDFSampler, RayBundle, RaySamples

Within = Callable[[RaySamples], Tensor]
"""How much of each sample (m, s) of rays lies within some places: float32 (m, s, 1), 0..1."""


class PlacesSampler(PDFSampler):  # type: ignore[misc]
    """nerfstudio's PDFSampler, which while training takes some of a ray's samples within places
    that the ray passes through. Else, and rays that pass through none, are sampled as ever.
    """

    def __init__(self, own: PDFSampler, within: Within, share: float) -> None:
        """Args:
        own: the sampler whose place it takes.
        within: the places.
        share: of a ray's samples, 0..1, below 1.
        """
        super().__init__(
            num_samples=own.num_samples,
            train_stratified=own.train_stratified,
            single_jitter=own.single_jitter,
            include_original=own.include_original,
            histogram_padding=own.histogram_padding,
        )
        self._within, self._share = within, share
        self.train(own.training)

    def generate_ray_samples(
        self,
        ray_bundle: RayBundle | None = None,
        ray_samples: RaySamples | None = None,
        weights: Tensor | None = None,
        num_samples: int | None = None,
        eps: float = 1e-5,
    ) -> RaySamples:
        """Samples (m, num_samples) of rays, drawn by the weights (m, s, 1) of other samples (m, s)
        of them.
        """
        if self.training and ray_samples is not None and weights is not None:
            weights = self._drawn_to(ray_samples, weights)
        return super().generate_ray_samples(ray_bundle, ray_samples, weights, num_samples, eps)

    @torch.no_grad()
    def _drawn_to(self, samples: RaySamples, weights: Tensor) -> Tensor:
        """Weights by which `share` of what is drawn lies within the places."""
        frustums = samples.frustums
        inside = self._within(samples) * (frustums.ends - frustums.starts)
        through = inside.sum(-2, keepdim=True)
        drawn = (weights + self.histogram_padding).sum(-2, keepdim=True)
        more = self._share / (1 - self._share) * drawn * inside / through
        return torch.where(through > 0, weights + more, weights)
