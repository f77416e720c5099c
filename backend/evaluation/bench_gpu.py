"""`python -m backend bench gpu`: whether this machine's GPU works for all that the program does,
how fast, and with how much memory. In minutes, and without a download: the demo model for what is
right, random weights at Stable Diffusion 1.5's size for time and memory, a scene of the demo world
for fields. What a stage has found is on disk when it ends.
"""

import json
import statistics
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.editing import Editor
from backend.editing.models.denoiser import draw_noise
from backend.editing.models.registry import DEMO_MODEL, resolve_device
from backend.errors import BadInput
from backend.evaluation import bench_radiance
from backend.evaluation.options import GpuOptions
from backend.evaluation.paired import finish
from backend.evaluation.plain_order import pipeline_edit, pipeline_of
from backend.evaluation.random_model import random_model
from backend.evaluation.samples import SEEDS, draw_present
from backend.evaluation.scenes.scene_figures import reconstruction
from backend.evaluation.scenes.scene_world import draw
from backend.fields.config import EDIT_PRESETS, PRESETS
from backend.fields.nerfstudio_compat import TCNN_EXISTS, RayBundle
from backend.fields.radiance_field import RadianceField
from backend.output.report import Report
from backend.scenes.scene import Scene

Figures = dict[str, Any]

MAP_DIFFERENCE = 0.1
"""Of 0..1, by which a map of the demo model may differ in half precision, in its worst cell."""
EDIT_DIFFERENCE = 2.0
"""Of 255, by which an edit may then differ in the mean inside its region."""
NOISE_DIFFERENCE = 0.02
"""Share of its own size by which a prediction of noise may differ in float16."""
RENDER_DIFFERENCE = 1e-3
"""Of 0..1, by which a field's colours may differ between CPU and GPU."""
LONG = 5.0
"""Seconds of one map from which edits are timed in fewer steps."""


class NotEqual(Exception):
    """A GPU computes something else than it should; the text says what."""


class TimeUp(Exception):
    """The time that the bench has is over."""


@dataclass
class Bench:
    """What the stages know.

    Attributes:
        device: that is measured.
        small: whether all is to be small, to try the bench itself.
        folder: for the scene.
        ends: seconds of time.monotonic() at which no more work is begun.
    """

    device: torch.device
    small: bool
    folder: Path
    ends: float

    def check_time(self, *_: object) -> None:
        """Raise TimeUp where the time is over."""
        if time.monotonic() > self.ends:
            raise TimeUp

    def seconds(self, action: Callable[[], object]) -> float:
        """The median of up to three runs after one that warms up; where all is small, of one."""
        if not self.small:
            action()
        taken: list[float] = []
        while not taken or (
            not self.small and len(taken) < 3 and sum(taken) < LONG and time.monotonic() < self.ends
        ):
            finish(self.device)
            began = time.perf_counter()
            action()
            finish(self.device)
            taken.append(time.perf_counter() - began)
        return round(statistics.median(taken), 4)

    def dtypes(self) -> dict[str, torch.dtype]:
        """The precisions that it is worth knowing of."""
        found = {"float32": torch.float32}
        if self.device.type == "cuda":
            found |= {"float16": torch.float16, "bfloat16": torch.bfloat16}
        return found


def maps_and_edits(bench: Bench, found: Figures) -> None:
    """The demo model's map and edit on the GPU in every precision, against those of the CPU."""
    (sample,) = draw_present(SEEDS["test"], 1, 128, kinds=["recolour"])
    instruction, image = sample.edit.instruction, sample.image
    reference = Editor.from_pretrained(DEMO_MODEL, "cpu", "float32")
    reference.set_image(image)
    relevance = reference.relevance(instruction)
    mask = relevance.at(*image.shape[:2]) >= relevance.suggested_threshold
    steps = 4 if bench.small else 20
    edit = reference.edit(instruction, mask=mask, steps=steps).image
    wrong = []
    for name in bench.dtypes():
        editor = Editor.from_pretrained(DEMO_MODEL, str(bench.device), name)
        editor.set_image(image)
        own = editor.relevance(instruction)
        edited = editor.edit(instruction, mask=mask, steps=steps).image
        apart = float(np.abs(own.values - relevance.values).max())
        bytes_apart = float(np.abs(edited.astype(float) - edit)[mask].mean())
        found[name] = {
            "map, largest difference": round(apart, 5),
            "edit, mean difference of 255": round(bytes_apart, 4),
            "map, seconds": bench.seconds(partial(editor.relevance, instruction)),
            f"edit of {steps} steps, seconds": bench.seconds(
                partial(editor.edit, instruction, mask=mask, steps=steps)
            ),
        }
        if not (edited[~mask] == image[~mask]).all():
            wrong.append(f"{name}: an edit changed bytes outside its region")
        if not (apart <= MAP_DIFFERENCE and bytes_apart <= EDIT_DIFFERENCE):
            wrong.append(f"{name}: map or edit differ from the CPU's by more than they may")
    if wrong:
        raise NotEqual("; ".join(wrong))


def full_size(bench: Bench, found: Figures) -> None:
    """Stable Diffusion 1.5's size with random weights: half precision against float32, seconds and
    memory of maps and edits, and diffusers' own pipeline beside them.
    """
    side = 128 if bench.small else 512
    image = _picture(side)
    predictions: dict[str, torch.Tensor] = {}
    for name, dtype in bench.dtypes().items():
        if name == "bfloat16":
            continue
        bench.check_time()
        _forget_peak(bench.device)
        try:
            found[name] = _full_size(bench, dtype, image, predictions, name)
        except torch.OutOfMemoryError:
            found[name] = {"out of memory": True}
        found[name] |= _peak(bench.device)
    if len(predictions) == 2:
        one, half = predictions.values()
        apart = float((one - half).abs().mean() / one.abs().mean())
        found["float16 against float32, predicted noise"] = round(apart, 6)
        if not apart <= NOISE_DIFFERENCE:
            raise NotEqual(f"float16 predicts other noise than float32: {apart:.3f} of its size")


def _full_size(
    bench: Bench,
    dtype: torch.dtype,
    image: NDArray[np.uint8],
    predictions: dict[str, torch.Tensor],
    name: str,
) -> Figures:
    began = time.perf_counter()
    model = random_model(bench.device, dtype, bench.small)
    editor = Editor(model)
    editor.set_image(image)
    instruction, mask = "turn the bear into a panda", np.zeros(image.shape[:2], np.bool_)
    third = len(image) // 3
    mask[third:-third, third:-third] = True
    figures: Figures = {"making it, seconds": round(time.perf_counter() - began, 1)}
    with torch.inference_mode():
        encoding = model.encode(image)
        told = [model.conditions(encoding, instruction)]
        noise = draw_noise(0, encoding.latents)
        noisy = model.noised(encoding.latents, noise, 0.8)
        predictions[name] = model.predict(noisy, 0.8, told, model.card.guidance).noise.cpu()
    for seeds in (1, 4):
        bench.check_time()
        drawn = tuple(range(seeds))
        words = f"map of {seeds} seed{'s' * (seeds > 1)}, seconds"
        figures[words] = bench.seconds(partial(editor.relevance, instruction, seeds=drawn))
    steps = 2 if figures["map of 1 seed, seconds"] > LONG or bench.small else 20
    pipeline = pipeline_of(model)
    start = model.noised(encoding.latents, noise, 1.0)
    for guidance in (1.5, 1.0):
        bench.check_time()
        both = f"of {steps} steps, image guidance {guidance:g}, seconds"
        figures[f"edit {both}"] = bench.seconds(
            partial(editor.edit, instruction, mask=mask, steps=steps, image_guidance=guidance)
        )
        figures[f"diffusers' pipeline {both}"] = bench.seconds(
            partial(pipeline_edit, pipeline, image, instruction, start, steps, (7.5, guidance))
        )
    return figures


def fields(bench: Bench, found: Figures) -> None:
    """A field's colours on the GPU against the CPU's; a training step of the full nerfacto, by
    nerfstudio, by this program, and by tiny-cuda-nn where it is installed.
    """
    config = PRESETS["preview" if bench.small else "full"]
    views = ("0", "1", "2")
    bundle = _rays(256)
    with torch.no_grad():
        own = RadianceField(config, views, device="cpu", implementation="torch")
        other = RadianceField(config, views, device=bench.device, implementation="torch")
        other.model.load_state_dict(own.model.state_dict())
        expected = own.march(bundle).rgb
        shown = other.march(bundle.to(bench.device)).rgb.cpu()
    apart = float((expected - shown).abs().max())
    found["colours of the CPU, largest difference"] = round(apart, 7)
    bench.check_time()
    rays = 64 if bench.small else 4096
    if not (TCNN_EXISTS and bench.device.type == "cuda"):
        found["tiny-cuda-nn"] = "not installed: left out, as the program does without it"
    found |= bench_radiance.measure(rays, 2 if bench.small else 5, bench.device)
    if not apart <= RENDER_DIFFERENCE:
        raise NotEqual(f"the field's colours differ from the CPU's by {apart:.4f}")


def scene(bench: Bench, found: Figures) -> None:
    """A scene of the demo world is captured, trained and edited."""
    views, side = (6, 32) if bench.small else (24, 128)
    worlds = (draw(seed, views, side) for seed in SEEDS["test"])
    world = next(one for one in worlds if one is not None)
    world.write(bench.folder)
    opened = Scene.open(bench.folder, device=str(bench.device))
    bench.check_time()
    course = opened.train(10 if bench.small else None, config="preview", on_step=bench.check_time)
    found |= {"steps": course.step, "training, seconds": round(course.seconds, 1)}
    found["held-out views, dB"] = round(reconstruction(opened, world)["PSNR"], 2)
    found |= {f"training, {name}": value for name, value in _peak(bench.device).items()}
    _forget_peak(bench.device)
    began = time.perf_counter()
    editor = Editor.from_pretrained(DEMO_MODEL, str(bench.device))
    config = EDIT_PRESETS["preview"]
    if bench.small:
        few = replace(config.relevance_field, iterations=4)
        config = replace(config, iterations=6, edit_every=1, steps=2, relevance_field=few)
    opened.edit(world.edit.instruction, editor, config=config, on_progress=bench.check_time)
    found["edit, seconds"] = round(time.perf_counter() - began, 1)
    found |= {f"edit, {name}": value for name, value in _peak(bench.device).items()}


STAGES: dict[str, Callable[[Bench, Figures], None]] = {
    "demo model": maps_and_edits,
    "Stable Diffusion 1.5's size": full_size,
    "fields": fields,
    "a scene": scene,
}


def run(options: GpuOptions, command: list[str]) -> int:
    """Measure, writing report.json into `options.out` after every stage; the exit status is 1 where
    one failed.

    Raises:
        BadInput: there is no GPU, and the CPU was not asked for.
    """
    device = resolve_device(options.device)
    if device.type == "cpu" and options.device == "auto":
        raise BadInput(
            "torch finds no GPU here: install its CUDA build (python install.py backend --cuda), "
            "or try the bench itself with --device cpu --small."
        )
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    print(f"measuring {name}", flush=True)
    settings = {"device": name, "small": options.small, "limit of seconds": options.seconds}
    report = Report(command, settings=settings)
    folder = options.out / "scene"
    if folder.exists():
        raise BadInput(f"{folder} is there from an earlier run: name another folder with --out.")
    bench = Bench(device, options.small, folder, time.monotonic() + options.seconds)
    failed = []
    for title, stage in STAGES.items():
        figures: Figures = {}
        report.figures[title] = figures
        _forget_peak(device)
        with report.stage(title):
            try:
                bench.check_time()
                stage(bench, figures)
                figures["result"] = "works"
            except TimeUp:
                figures["result"] = "no time was left"
            except NotEqual as error:
                figures["result"] = f"wrong: {error}"
                failed.append(title)
            except Exception as error:  # noqa: BLE001 - what fails on a GPU may be anything
                traceback.print_exc()
                figures["result"] = f"failed: {error!r}"
                failed.append(title)
        report.write(options.out)
        print(f"{title}: {json.dumps(figures, indent=1)}", flush=True)
    print(f"wrote report.json to {options.out}")
    if failed:
        print(f"What this GPU does not do as it should: {', '.join(failed)}.")
    return 1 if failed else 0


def _picture(side: int) -> NDArray[np.uint8]:
    """Colours that change slowly, uint8 (side, side, 3)."""
    across = np.linspace(0, 255, side)
    channels = np.broadcast_arrays(across[:, None], across[None], 255 - across[:, None])
    return np.stack(channels, axis=-1).astype(np.uint8)


def _rays(count: int) -> RayBundle:
    """Rays through the middle of the box, from around it."""
    generator = torch.Generator().manual_seed(0)
    origins = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    aim = 0.3 * torch.randn(count, 3, generator=generator)
    return RayBundle(
        origins=origins,
        directions=torch.nn.functional.normalize(aim - origins, dim=-1),
        pixel_area=torch.full((count, 1), 1e-5),
        camera_indices=torch.zeros(count, 1, dtype=torch.long),
    )


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> Figures:
    """The most memory that tensors took since it was forgotten; nothing where it is not counted."""
    if device.type != "cuda":
        return {}
    return {"peak memory, GiB": round(torch.cuda.max_memory_allocated(device) / 2**30, 2)}
