"""CLIP guidance: its losses against formulas written plainly, its gradient against transformers'
own path, and what it does to a scene.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import CLIPModel

from backend.__main__ import main
from backend.editing import Editor
from backend.editing.encoders import ClipEncoder, load_encoder
from backend.errors import BadInput
from backend.fields.config import ClipGuidanceConfig
from backend.scenes import Scene
from backend.scenes.edit_records import EditError, read_asked
from backend.scenes.methods.clip_guidance import ClipGuidance, contrastive, directional
from backend.scenes.methods.guided_training import Shot

from .quick_edit import INSTRUCTION, QUICK
from .tiny_clip import save_tiny_clip
from .tiny_editor import random_image

CAPTIONS = ("a red cube on a grey ground", "a blue cube on a grey ground")
NEGATIVES = ("a wood monkey",)


class Stop(Exception):
    """What a person's Cancel raises."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def encoder(clip: Path) -> ClipEncoder:
    return load_encoder(str(clip), "cpu")


def config_of(folder: Path | str, **changes: object) -> ClipGuidanceConfig:
    config = ClipGuidanceConfig(CAPTIONS, str(folder), NEGATIVES, patches=2)
    return dataclasses.replace(config, **changes)  # type: ignore[arg-type]


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_losses_are_those_of_the_formulas() -> None:
    rng = np.random.default_rng(0)
    went, way = rng.normal(size=(3, 8)), rng.normal(size=8)
    cosines = went @ way / np.linalg.norm(went, axis=1) / np.linalg.norm(way)
    found = directional(torch.tensor(went), torch.tensor(way))
    assert float(found) == pytest.approx(1 - cosines.mean())
    # nothing has changed yet: a loss of 1, and a gradient of no more than 1 / LEAST
    still = torch.zeros(1, 8, dtype=torch.float64, requires_grad=True)
    loss = directional(still, torch.tensor(way))
    (gradient,) = torch.autograd.grad(loss, still)
    assert float(loss) == 1
    assert float(gradient.norm()) == pytest.approx(100)

    seen, wanted, unwanted = (
        unit(rng.normal(size=(3, 8))),
        unit(rng.normal(size=8)),
        unit(rng.normal(size=(4, 8))),
    )
    near = np.exp(seen @ wanted / 0.07)
    far = np.exp(seen @ unwanted.T / 0.07).sum(1)
    expected = -np.log(near / (near + far)).mean()
    given = [torch.tensor(part) for part in (seen, wanted, unwanted)]
    assert float(contrastive(*given, 0.07)) == pytest.approx(expected)


def test_pixels_with_a_gradient_are_seen_as_pictures_are() -> None:
    """By the demo world's CLIP, which squeezes pictures to a square as well."""
    encoder = load_encoder("demo", "cpu")
    picture = random_image(48, 64)
    pixels = torch.tensor(picture).permute(2, 0, 1)[None] / 255
    found = encoder.features(pixels).detach().numpy()
    assert float((found * encoder.images([picture])).sum()) > 0.9995


def test_the_gradient_at_the_pixels_is_that_of_the_formula(
    clip: Path, encoder: ClipEncoder
) -> None:
    """All four losses, written plainly on transformers' networks; at the size that these take."""
    before = random_image(32, 32, seed=1)
    mask = np.zeros((32, 32), np.bool_)
    mask[20, 6] = True
    config = config_of(clip, patch_share=0.25, patches=1, weight=3.0)
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    shot = Shot(0, 4, picture.requires_grad_(), before, before, mask)
    (found,) = torch.autograd.grad(ClipGuidance(encoder, config, 0)(shot), picture)

    model = CLIPModel.from_pretrained(clip).eval()
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)

    def seen(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        output = model.vision_model((pixels - mean) / deviation, output_hidden_states=True)
        embedded = model.visual_projection(output.pooler_output)
        return embedded / embedded.norm(), output.hidden_states[1]

    before_text, after_text, other = torch.from_numpy(encoder.texts([*CAPTIONS, *NEGATIVES]))
    x = picture.detach().clone().requires_grad_()
    old, old_tokens = seen(torch.tensor(before).permute(2, 0, 1)[None] / 255)
    new, tokens = seen(x)
    # 8 pixels a side around the middle (20.5, 6.5) of the one pixel of the region
    patch = functional.interpolate(x[..., 16:24, 2:10], (32, 32), mode="bicubic", antialias=True)
    small, _ = seen(patch.clamp(0, 1))

    def contrast(v: torch.Tensor) -> torch.Tensor:
        after, *far = (torch.exp((v * t).sum() / 0.07) for t in (after_text, before_text, other))
        return -torch.log(after / (after + sum(far)))

    way = after_text - before_text
    went = (new - old)[0]
    loss = 1 - went @ way / (went.norm() * way.norm())
    loss = loss + 0.2 * contrast(new) + 0.1 * contrast(small)
    loss = loss + 2.0 * (1 - functional.cosine_similarity(tokens, old_tokens, dim=-1)).mean()
    (expected,) = torch.autograd.grad(3.0 * loss, x)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_a_scene_goes_where_the_captions_say_and_on_where_it_was_stopped(
    scene: Scene, editor: Editor, clip: Path, encoder: ClipEncoder
) -> None:
    """The loss of fixed pictures and patches falls, and a stopped edit ends as a whole one."""
    asked = config_of(clip, content=0.0)
    config = dataclasses.replace(
        QUICK,
        method="clip_guidance",
        everything=True,
        clip_guidance=asked,
        iterations=30,
        learning_rate=2e-2,
    )
    whole = scene.edit(INSTRUCTION, editor, config=config, name="whole")
    guide, losses = ClipGuidance(encoder, asked, 0), []
    for kind in ("before", "after"):
        pictures = [getattr(view, kind) for view in whole.views]
        shots = [
            Shot(0, 9, torch.tensor(p).permute(2, 0, 1)[None] / 255, v.before, v.before, v.mask)
            for p, v in zip(pictures, whole.views, strict=True)
        ]
        losses.append(float(np.mean([float(guide(shot)) for shot in shots])))
    assert losses[1] < 0.7 * losses[0]
    steps = 0

    def stop(words: str, share: float, picture: object) -> None:
        nonlocal steps
        steps += words.startswith("Training")
        if steps == 7:
            raise Stop

    with pytest.raises(Stop):
        scene.edit(INSTRUCTION, editor, config=config, name="stopped", on_progress=stop)
    stopped = scene.edit(INSTRUCTION, editor, config=config, name="stopped")
    mine, theirs = whole.field.model.state_dict(), stopped.field.model.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert read_asked(scene.work, "whole").config.clip_guidance == asked


def test_what_says_nothing_is_refused_before_anything_is_made(
    scene: Scene, editor: Editor, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(words: str, **changes: object) -> None:
        clip = dataclasses.replace(config_of("demo"), **changes)  # type: ignore[arg-type]
        config = dataclasses.replace(QUICK, method="clip_guidance", clip_guidance=clip)
        with pytest.raises(BadInput, match=words):
            scene.edit(INSTRUCTION, editor, config=config)

    refused("needs captions of what the scene shows before and after", captions=None)
    refused("needs captions", captions=("a red cube", " "))
    refused("are the same: say what differs", captions=("a red cube", "a red cube "))
    refused("no CLIP that can be had here", clip="nowhere/no-clip-there-is")
    refused("patches must be 1 or more", patches=0)
    refused("a share above 0 and at most 1", patch_share=0.0)
    assert scene.edits() == ()
    command = ["scene", "edit", str(trained), INSTRUCTION, "--method", "clip_guidance"]
    assert main([*command, "--model", "demo", "--device", "cpu"]) == 1
    assert "--captions BEFORE AFTER" in capsys.readouterr().err


@pytest.mark.parametrize("given", [["--captions", *CAPTIONS], ["--clip", "some/clip"]])
def test_what_no_other_method_heeds_is_refused(
    given: list[str], trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scene", "edit", str(trained), INSTRUCTION, "--model", "demo", *given]) == 1
    assert "add --method clip_guidance, or leave --captions" in capsys.readouterr().err


def test_an_edit_is_another_one_with_other_captions(
    scene: Scene, editor: Editor, clip: Path
) -> None:
    config = dataclasses.replace(
        QUICK, method="clip_guidance", everything=True, iterations=1, clip_guidance=config_of(clip)
    )
    scene.edit(INSTRUCTION, editor, config=config)
    other = config_of(clip, captions=CAPTIONS[::-1])
    with pytest.raises(EditError, match="give this one another name"):
        scene.edit(INSTRUCTION, editor, config=dataclasses.replace(config, clip_guidance=other))
