"""`python -m backend bench radiance`: one training step of the full nerfacto, nerfstudio's own
torch implementation against this program's, with the same parameters on the same rays, in one run.
"""

import logging
import statistics
import time
from typing import Any

import torch

from backend.editing.models.registry import resolve_device
from backend.evaluation.options import RadianceOptions
from backend.evaluation.paired import finish
from backend.fields.config import PRESETS
from backend.fields.fast_nerfacto import accelerate
from backend.fields.hash_encoding import compiled_code
from backend.fields.nerfstudio_compat import (
    TCNN_EXISTS,
    NerfactoModel,
    RayBundle,
    distortion_loss,
)
from backend.fields.radiance_field import nerfacto
from backend.output.report import Report

VIEWS = 24
CAMERA_DISTANCE = 1.0


class _Stepper:
    """A model, its optimizer, and steps of nerfacto's training on given rays."""

    def __init__(self, model: NerfactoModel, fused: bool) -> None:
        self._model = model
        groups = model.get_param_groups().values()
        self._optimizer = torch.optim.Adam(
            [{"params": group} for group in groups],
            lr=1e-2,
            eps=1e-15,
            fused=fused or None,
        )

    def step(self, bundle: RayBundle, colours: torch.Tensor) -> tuple[float, float, float]:
        """Loss, wall-clock seconds and processor seconds of one step."""
        model = self._model
        finish(model.device)
        wall, cpu = time.perf_counter(), time.process_time()
        torch.manual_seed(0)
        self._optimizer.zero_grad()
        outputs = model(bundle)
        distortion = distortion_loss(outputs["weights_list"], outputs["ray_samples_list"])
        losses = model.get_loss_dict(outputs, {"image": colours}, {"distortion": distortion})
        loss = torch.stack(list(losses.values())).sum()
        loss.backward()
        self._optimizer.step()
        finish(model.device)
        return float(loss.detach()), time.perf_counter() - wall, time.process_time() - cpu


def measure(rays: int, rounds: int, device: torch.device) -> dict[str, Any]:
    """Times both on a device, taking turns, and there also this program with tiny-cuda-nn where
    that is installed.

    Returns:
        Figures by name: seconds of a step each (medians), their ratio, and the largest relative
        difference of the first two losses.
    """
    config = PRESETS["full"]
    torch.manual_seed(0)
    theirs = nerfacto(config, VIEWS, "torch", alpha=False)
    ours = nerfacto(config, VIEWS, "torch", alpha=False)
    ours.load_state_dict(theirs.state_dict())
    accelerate(ours)
    models = {"nerfstudio": theirs, "this program": ours}
    if TCNN_EXISTS and device.type == "cuda":
        models["this program, tiny-cuda-nn"] = nerfacto(config, VIEWS, "tcnn", alpha=False)
        accelerate(models["this program, tiny-cuda-nn"])
    for model in models.values():
        model.to(device).train()
    steppers = {name: _Stepper(model, name != "nerfstudio") for name, model in models.items()}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in steppers}
    difference = 0.0
    for turn in range(rounds + 1):  # the first one warms up
        origins = torch.nn.functional.normalize(torch.randn(rays, 3), dim=-1) * CAMERA_DISTANCE
        directions = torch.nn.functional.normalize(0.3 * torch.randn(rays, 3) - origins, dim=-1)
        colours, views = torch.rand(rays, 3), torch.randint(VIEWS, (rays, 1))
        losses = []
        for name, stepper in steppers.items():
            bundle = RayBundle(
                origins=origins.clone(),
                directions=directions.clone(),
                pixel_area=torch.ones(rays, 1),
                camera_indices=views,
            ).to(device)
            loss, wall, cpu = stepper.step(bundle, colours.to(device))
            losses.append(loss)
            if turn > 0:
                seconds[name].append((wall, cpu))
        difference = max(difference, abs(losses[1] - losses[0]) / losses[0])
    medians = {
        name: [statistics.median(values) for values in zip(*both, strict=True)]
        for name, both in seconds.items()
    }
    wall, cpu = (medians["nerfstudio"][i] / medians["this program"][i] for i in (0, 1))
    return {
        "hash_encoding": "torch" if compiled_code() is None else "compiled C",
        "seconds_a_step": {name: round(m[0], 3) for name, m in medians.items()},
        "processor_seconds_a_step": {name: round(m[1], 3) for name, m in medians.items()},
        "times_faster": round(wall, 2),
        "times_less_processor_time": round(cpu, 2),
        "largest_relative_difference_of_losses": difference,
    }


def run(options: RadianceOptions, command: list[str]) -> int:
    """Measure and write report.json into `options.out`; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    report = Report(command, settings=vars(options) | {"out": str(options.out)})
    with report.stage("steps"):
        report.figures |= measure(options.rays, options.rounds, resolve_device(options.device))
    report.write(options.out)
    for name, figure in report.figures.items():
        print(f"{name.replace('_', ' ')}: {figure}")
    return 0
