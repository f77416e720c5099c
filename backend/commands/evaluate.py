"""`python -m backend evaluate` and `bench`: what is measured where the truth is known, and how fast
this machine is.
"""

import sys
from dataclasses import dataclass
from typing import ClassVar

from backend.counts import check_options
from backend.errors import BadInput
from backend.evaluation import options
from backend.evaluation.methods.options import MethodsOptions
from backend.output.writable import check_writable

KEPT = "stopped: the same command goes on with what it has made so far"


@dataclass(frozen=True, kw_only=True)
class Relevance(options.RelevanceOptions):
    """Measure maps and edits on held-out scenes of the demo world.

    Write DIR/figures.md, DIR/contact_sheet.png and DIR/report.json.
    """

    def run(self, command: list[str]) -> int:
        """Measure; the exit status."""
        if _wrong(self):
            return 1
        # Only now, here and below: torch takes seconds to load.
        from backend.evaluation import relevance

        return relevance.run(self, command)


@dataclass(frozen=True, kw_only=True)
class Images(options.ImagesOptions):
    """Measure every method of editing single pictures, as curves, on scenes of the demo world.

    Write DIR/figures.md, DIR/curves.png, DIR/contact_sheet.png and DIR/report.json. The same
    command goes on where it was stopped, and one with more samples or methods with what is there.
    """

    cancelled: ClassVar[str] = KEPT

    def run(self, command: list[str]) -> int:
        """Measure; the exit status."""
        if _wrong(self):
            return 1
        from backend.evaluation.images import command as images

        return images.run(self, command)


@dataclass(frozen=True, kw_only=True)
class Sweep(options.SweepOptions):
    """Measure edits at every pair of a threshold and an image guidance, and maps at noise levels.

    Write DIR/figures.md, DIR/heat_maps.png, DIR/curves.png, DIR/maps.png, DIR/contact_sheet.png and
    DIR/report.json. The same command goes on where it was stopped, or with what is there.
    """

    cancelled: ClassVar[str] = KEPT

    def run(self, command: list[str]) -> int:
        """Measure; the exit status."""
        if _wrong(self):
            return 1
        from backend.evaluation.sweep import command as sweep

        return sweep.run(self, command)


@dataclass(frozen=True, kw_only=True)
class Scene(options.SceneOptions):
    """Measure fields and 3D edits on held-out scenes of the demo world.

    Write DIR/figures.md, DIR/contact_sheet.png and DIR/report.json. The captures and their fields
    are kept in DIR/scenes: the same command goes on with them.
    """

    cancelled: ClassVar[str] = KEPT

    def run(self, command: list[str]) -> int:
        """Measure; the exit status."""
        if _wrong(self):
            return 1
        from backend.evaluation.scenes import scene, true_edits

        return (true_edits if self.editor == "truth" else scene).run(self, command)


@dataclass(frozen=True, kw_only=True)
class Capture(options.CaptureOptions):
    """Say whether a capture is good enough for edits, by masks of a region in all of its views.

    Its field is trained, regions are found in it from exact and from bad maps, and painted by an
    editor that knows the truth; all is measured in views that are held out. Write DIR/figures.md,
    DIR/contact_sheet.png and DIR/report.json. The same command goes on where it was stopped.
    """

    cancelled: ClassVar[str] = KEPT

    def run(self, command: list[str]) -> int:
        """Measure; the exit status."""
        if _wrong(self):
            return 1
        from backend.evaluation.scenes import capture

        return capture.run(self, command)


@dataclass(frozen=True, kw_only=True)
class Methods(MethodsOptions):
    """Measure every method of editing scenes on one trained field, with the same seeds and steps.

    Of a scene of the demo world, whose true edit is known, or a capture with masks. Write
    DIR/figures.md, DIR/contact_sheet.png and DIR/report.json. The same command goes on where it was
    stopped, and one with more methods or repeats with what is there.
    """

    cancelled: ClassVar[str] = KEPT

    def run(self, command: list[str]) -> int:
        """Measure; the exit status."""
        if _wrong(self):
            return 1
        from backend.evaluation.methods import command as methods

        return methods.run(self, command)


@dataclass(frozen=True, kw_only=True)
class Check(options.CheckOptions):
    """Measure the prompt check in one picture and in all views of a scene, on the demo world.

    Write DIR/figures.md and DIR/report.json.
    """

    def run(self, command: list[str]) -> int:
        """Measure; the exit status."""
        if _wrong(self):
            return 1
        from backend.evaluation.scenes import views_check

        return views_check.run(self, command)


@dataclass(frozen=True, kw_only=True)
class Clip(options.ClipOptions):
    """Measure how well a CLIP tells the demo world's pictures apart by their captions.

    Write DIR/figures.md and DIR/report.json.
    """

    def run(self, command: list[str]) -> int:
        """Measure; the exit status."""
        if _wrong(self):
            return 1
        from backend.evaluation import retrieval

        return retrieval.run(self, command)


@dataclass(frozen=True, kw_only=True)
class Captions(options.CaptionOptions):
    """Measure how well a text-to-image model knows the demo world by its captions.

    Write DIR/figures.md, DIR/contact_sheet.png and DIR/report.json.
    """

    def run(self, command: list[str]) -> int:
        """Measure; the exit status."""
        if _wrong(self):
            return 1
        from backend.evaluation import captions

        try:
            return captions.run(self, command)
        except BadInput as error:
            print(f"error: {error}", file=sys.stderr)
            return 1


@dataclass(frozen=True, kw_only=True)
class Texture(options.TextureOptions):
    """Measure how much of a named part of a mesh's texture is edited, and what its seams become.

    The same edit is made as before regions were snapped, and as they are now. Write DIR/figures.md,
    DIR/contact_sheet.png and DIR/report.json.
    """

    def run(self, command: list[str]) -> int:
        """Measure; the exit status."""
        if _wrong(self):
            return 1
        from backend.evaluation import texture

        return texture.run(self, command)


@dataclass(frozen=True, kw_only=True)
class Regions(options.RegionOptions):
    """Measure what snapping the region and working on a crop do to edits, on the demo world.

    Write DIR/figures.md, DIR/contact_sheet.png and DIR/report.json.
    """

    def run(self, command: list[str]) -> int:
        """Measure; the exit status."""
        if _wrong(self):
            return 1
        from backend.evaluation import regions

        try:
            return regions.run(self, command)
        except BadInput as error:
            print(f"error: {error}", file=sys.stderr)
            return 1


@dataclass(frozen=True, kw_only=True)
class Grid(options.GridOptions):
    """Edit a picture at every pair of a threshold and an image guidance, from one map and noise.

    Write DIR/grid.png, DIR/edits and DIR/report.json.
    """

    def run(self, command: list[str]) -> int:
        """Edit; the exit status."""
        if _wrong(self):
            return 1
        from backend.evaluation import grid

        return grid.run(self, command)


@dataclass(frozen=True, kw_only=True)
class Radiance(options.RadianceOptions):
    """Time a training step of nerfacto: nerfstudio's own torch implementation against ours.

    Both take turns on the same rays. Write DIR/report.json.
    """

    def run(self, command: list[str]) -> int:
        """Measure; the exit status."""
        if _wrong(self):
            return 1
        from backend.evaluation import bench_radiance

        return bench_radiance.run(self, command)


@dataclass(frozen=True, kw_only=True)
class BenchCapture(options.BenchCaptureOptions):
    """Train a capture's field for equal minutes: nerfstudio's own nerfacto against ours.

    nerfacto trains as it is, and with as small a field as ours; all take turns, and are measured in
    the same held-out views. Write DIR/report.json.
    """

    def run(self, command: list[str]) -> int:
        """Measure; the exit status."""
        if _wrong(self):
            return 1
        from backend.evaluation import bench_capture

        return bench_capture.run(self, command)


@dataclass(frozen=True, kw_only=True)
class Detail(options.DetailOptions):
    """Time edits of a crop against those of the whole picture, and measure what they give.

    All take turns on the same pictures, inside their true regions. Write DIR/report.json.
    """

    def run(self, command: list[str]) -> int:
        """Measure; the exit status."""
        if _wrong(self):
            return 1
        from backend.evaluation import bench_detail

        try:
            return bench_detail.run(self, command)
        except BadInput as error:
            print(f"error: {error}", file=sys.stderr)
            return 1


@dataclass(frozen=True, kw_only=True)
class BenchSpeed(options.SpeedOptions):
    """Time edits with each option that makes them faster, and measure what it costs.

    All take turns on the same pictures, inside the same regions. Write DIR/report.json.
    """

    def run(self, command: list[str]) -> int:
        """Measure; the exit status."""
        if _wrong(self):
            return 1
        from backend.evaluation import bench_speed

        try:
            return bench_speed.run(self, command)
        except BadInput as error:
            print(f"error: {error}", file=sys.stderr)
            return 1


@dataclass(frozen=True, kw_only=True)
class BenchEdit(options.EditBenchOptions):
    """Time an edit: diffusers' own pipeline against this program, on the same networks.

    All take turns on one picture. Write DIR/report.json.
    """

    def run(self, command: list[str]) -> int:
        """Measure; the exit status."""
        if _wrong(self):
            return 1
        from backend.evaluation import bench_edit

        try:
            return bench_edit.run_edit(self, command)
        except BadInput as error:
            print(f"error: {error}", file=sys.stderr)
            return 1


@dataclass(frozen=True, kw_only=True)
class BenchRelevance(options.PairedOptions):
    """Time a relevance map: the order in which the paper's authors compute it against this program.

    Both take turns on one picture and the same networks. Write DIR/report.json.
    """

    def run(self, command: list[str]) -> int:
        """Measure; the exit status."""
        if _wrong(self):
            return 1
        from backend.evaluation import bench_edit

        try:
            return bench_edit.run_relevance(self, command)
        except BadInput as error:
            print(f"error: {error}", file=sys.stderr)
            return 1


@dataclass(frozen=True, kw_only=True)
class BenchGpu(options.GpuOptions):
    """Tell whether a GPU does all that the program needs, how fast, and with how much memory.

    It takes up to five minutes, and downloads nothing. Write DIR/report.json.
    """

    def run(self, command: list[str]) -> int:
        """Measure; the exit status."""
        if _wrong(self):
            return 1
        from backend.evaluation import bench_gpu

        try:
            return bench_gpu.run(self, command)
        except BadInput as error:
            print(f"error: {error}", file=sys.stderr)
            return 1


def _wrong(
    command: options.EvaluationOptions
    | options.GridOptions
    | options.GpuOptions
    | options.CaptureOptions
    | options.ClipOptions
    | options.BenchCaptureOptions
    | options.RadianceOptions
    | options.TextureOptions,
) -> bool:
    """Whether an option cannot be used, which is told then, before hours of work."""
    try:
        check_options(command)
        if isinstance(command, options.SceneOptions):
            command.check_editor()
        if isinstance(command, options.SampleOptions):
            command.check_executor()
        if isinstance(command, options.CaptureOptions):
            command.check()
        if isinstance(command, MethodsOptions):
            command.check_scene()
        check_writable(command.out, "name another with --out")
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return True
    return False
