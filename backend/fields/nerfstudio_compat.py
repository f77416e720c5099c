"""The thin slice of nerfstudio 1.1.5 that this program uses, and every work-around that it needs.

nerfstudio is installed without the packages that it asks for: about 3 GB of viewers, trackers and
data formats, among them torchvision, which breaks next to a CPU build of torch. Its nerfacto model
needs none of them to compute anything, but imports some. While the slice is imported, and while a
model is built, `absent_packages` answers for those that are not installed.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import warnings
from collections.abc import Iterator, MutableSequence, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NoReturn

ABSENT = {
    "cv2": "cameras.py encodes pictures for nerfstudio's own viewer with it",
    "viser": "scene_box.py and the viewer turn boxes with it",
    "nerfacc": "renderers and samplers use it for packed samples, which nerfacto has none of",
    "matplotlib": "colormaps.py paints depth for the viewer with it",
    "tensorboard": "writer.py, which configs import, logs to it through torch.utils.tensorboard",
    "torchmetrics": "the model builds PSNR, SSIM and LPIPS with it (LPIPS downloads weights), "
    "for an evaluation that is not ours; its package asks for torch's CUDA build",
}
"""Top-level packages that the slice imports and does without, and why each is asked for."""


class AbsentPackageError(ImportError):
    """nerfstudio called something of a package that it is installed without."""


class _Placeholder:
    """Stands in for whatever is imported from an absent package: it can be named, subscripted in
    annotations and constructed, and not called or used.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass

    def __class_getitem__(cls, item: Any) -> type["_Placeholder"]:
        return cls

    def __call__(self, *arguments: Any, **options: Any) -> NoReturn:
        raise AbsentPackageError(
            "nerfstudio used a package that it is installed without "
            f"({', '.join(ABSENT)}): fields/nerfstudio_compat.py says what for."
        )


class _AbsentModule(ModuleType):
    """A module of an absent package."""

    __path__: MutableSequence[str] = []  # noqa: RUF012  a package

    def __getattr__(self, name: str) -> type[_Placeholder]:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Placeholder


class _AbsentFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers for the packages `names` and all below them."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A placeholder's spec for what is absent, None for all else."""
        if any(name == absent or name.startswith(absent + ".") for absent in self.names):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """An empty placeholder."""
        return _AbsentModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


@contextmanager
def absent_packages() -> Iterator[None]:
    """Within the block, importing a package of ABSENT that is not installed gives a placeholder.

    Afterwards it fails again, so that nobody else takes a placeholder for the package.
    """
    names = {name for name in ABSENT if importlib.util.find_spec(name) is None}
    if "tensorboard" in names:
        names.add("torch.utils.tensorboard")  # torch's own wrapper, which refuses without it
    finder = _AbsentFinder(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name, module in list(sys.modules.items()):
            if isinstance(module, _AbsentModule):
                del sys.modules[name]
                parent, _, child = name.rpartition(".")
                if vars(sys.modules.get(parent, ModuleType(""))).get(child) is module:
                    delattr(sys.modules[parent], child)


with absent_packages(), warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # old names of torch's that still work
    warnings.simplefilter("ignore", DeprecationWarning)
    from nerfstudio.cameras.camera_optimizers import CameraOptimizerConfig
    from nerfstudio.cameras.camera_utils import auto_orient_and_center_poses
    from nerfstudio.cameras.cameras import Cameras
    from nerfstudio.cameras.rays import RayBundle, RaySamples
    from nerfstudio.data.scene_box import SceneBox
    from nerfstudio.field_components.activations import trunc_exp
    from nerfstudio.field_components.encodings import HashEncoding
    from nerfstudio.field_components.field_heads import FieldHeadNames
    from nerfstudio.field_components.mlp import MLPWithHashEncoding
    from nerfstudio.field_components.spatial_distortions import SceneContraction
    from nerfstudio.fields.nerfacto_field import NerfactoField
    from nerfstudio.model_components.losses import (
        distortion_loss,
        ds_nerf_depth_loss,
        scale_gradients_by_distance_squared,
    )
    from nerfstudio.model_components.ray_samplers import PDFSampler
    from nerfstudio.models.nerfacto import NerfactoModel, NerfactoModelConfig
    from nerfstudio.utils.external import TCNN_EXISTS

__all__ = [
    "TCNN_EXISTS",
    "AbsentPackageError",
    "CameraOptimizerConfig",
    "Cameras",
    "FieldHeadNames",
    "HashEncoding",
    "MLPWithHashEncoding",
    "NerfactoField",
    "NerfactoModel",
    "NerfactoModelConfig",
    "PDFSampler",
    "RayBundle",
    "RaySamples",
    "SceneBox",
    "SceneContraction",
    "absent_packages",
    "auto_orient_and_center_poses",
    "distortion_loss",
    "ds_nerf_depth_loss",
    "scale_gradients_by_distance_squared",
    "trunc_exp",
]
