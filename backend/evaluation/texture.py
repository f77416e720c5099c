"""`python -m backend evaluate texture`: how much of a named part of a mesh's texture is edited, and
what the seams of its UVs become.

The truth is given: the part is what lies on some of the mesh's pieces, or what has some colours.
Writes report.json, figures.md and contact_sheet.png.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from backend.editing import Editor, RelevanceMap
from backend.errors import BadInput, words_of
from backend.evaluation.maps import Table
from backend.evaluation.options import TextureOptions, TextureWay
from backend.evaluation.relevance import markdown
from backend.meshes.connectivity import pieces, seams_changed
from backend.meshes.folder import MeshFolder, read_mesh_folder
from backend.meshes.texture_edit import VISIBLE, MeshEdit, MeshEditConfig, edit_mesh
from backend.meshes.textured_mesh import TexturedMesh
from backend.output.contact_sheet import Tile, contact_sheet
from backend.output.progress import shown_progress
from backend.output.report import Report

WAYS: dict[TextureWay, dict[str, Any]] = {
    "cells": {"snap": "nothing", "detail": "whole"},
    "edges": {"snap": "edges", "detail": "whole"},
    "things": {"snap": "things", "detail": "whole"},
    "things-sharp": {"snap": "things", "detail": "sharp"},
    "things-fast": {"snap": "things", "detail": "fast"},
}
"""The settings that are compared."""
SHEET_VIEWS = 3


def run(options: TextureOptions, command: list[str]) -> int:
    """Measure and write; the exit status."""
    try:
        return _run(options, command)
    except (BadInput, OSError) as error:
        print(f"error: {words_of(error)}", file=sys.stderr)
        return 1


def _run(options: TextureOptions, command: list[str]) -> int:
    folder = read_mesh_folder(options.folder)
    mesh = folder.mesh
    part = named_part(mesh, options.part, options.tolerance)
    report = Report(command, settings={"steps": options.steps, "rounds": options.rounds})
    editor = Editor.from_pretrained(options.model, options.device, options.dtype)
    report.settings |= {"model": editor.card.name, "device": editor.card.device_name}
    once = _MapsOnce(editor)
    table: Table = {}
    edits: dict[str, MeshEdit] = {}
    for way in options.ways:
        config = MeshEditConfig(
            lit=folder.lit, steps=options.steps, rounds=options.rounds, **WAYS[way]
        )
        begun, spared = time.perf_counter(), once.spared
        with shown_progress() as show, report.stage(way):
            edits[way] = edit_mesh(
                mesh,
                folder.views,
                options.instruction,
                once,  # hands on what it does not do itself
                config,
                lambda words, share, _: show(words, share),
            )
        seconds = time.perf_counter() - begun + once.spared - spared
        table[way] = figures_of(mesh, edits[way], part) | {"seconds": round(seconds, 1)}
        report.figures[way] = table[way] | {
            "took": edits[way].took,
            "things": edits[way].things,
        }
    options.out.mkdir(parents=True, exist_ok=True)
    text = markdown(options.instruction, table)
    (options.out / "figures.md").write_text(text, "utf-8")
    _sheet(folder, edits, part).save(options.out / "contact_sheet.png")
    report.write(options.out)
    print(text)
    print(f"wrote figures.md, contact_sheet.png and report.json to {options.out}")
    return 0


class _MapsOnce:
    """An editor that makes the maps of the views once for all ways, which share them.

    Attributes:
        spared: seconds that those took less who were given maps that were there.
    """

    def __init__(self, editor: Editor) -> None:
        self.spared = 0.0
        self._editor = editor
        self._found: list[tuple[int, RelevanceMap]] | None = None
        self._seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._editor, name)

    def relevance_of_images(
        self, *asked: Any, **settings: Any
    ) -> Iterator[tuple[int, RelevanceMap]]:
        """As the editor's own."""
        if self._found is None:
            begun = time.perf_counter()
            self._found = list(self._editor.relevance_of_images(*asked, **settings))
            self._seconds = time.perf_counter() - begun
        else:
            self.spared += self._seconds
        return iter(self._found)


def named_part(mesh: TexturedMesh, names: Sequence[str], tolerance: float) -> NDArray[np.bool_]:
    """The texels on a mesh that a part has, bool (T, S).

    Args:
        mesh: with its texture.
        names: numbers of its pieces, or colours as CSS writes them.
        tolerance: 0..1, how far a channel may be from a colour.

    Raises:
        BadInput: a name is no piece's number and no colour, or there is no such texel.
    """
    piece, surface = pieces(mesh), mesh.surface
    found = np.zeros(mesh.size, np.bool_)
    covered = np.zeros(mesh.size, np.bool_)
    covered.reshape(-1)[surface.texel] = True
    for name in names:
        if name.isdecimal():
            if int(name) > piece.max():
                raise BadInput(
                    f"The mesh has pieces 0 to {piece.max()}: name one of these, not {name}."
                )
            found.reshape(-1)[surface.texel[piece[surface.face] == int(name)]] = True
            continue
        try:
            colour = ImageColor.getrgb(name)[:3]
        except ValueError as error:
            raise BadInput(
                f"{name} is no piece's number and no colour: write one such as #ffcc00."
            ) from error
        apart = np.abs(mesh.texture[..., :3].astype(int) - colour).max(axis=2)
        found |= covered & (apart <= tolerance * 255)
    if not found.any():
        raise BadInput(f"No texel on the mesh is of the part {' '.join(names)}.")
    return found


def figures_of(mesh: TexturedMesh, edit: MeshEdit, part: NDArray[np.bool_]) -> dict[str, float]:
    """What an edit has made of a part, bool (T, S), of a mesh's texture: shares of texels on the
    mesh, and the difference of colours across the seams that lie in the region, after the edit over
    before it, as `seams_changed` defines it.
    """
    covered = np.zeros(mesh.size, np.bool_)
    covered.reshape(-1)[mesh.surface.texel] = True
    region = edit.region & covered
    apart = np.abs(edit.texture[..., :3].astype(float) - mesh.texture[..., :3]).max(axis=2) / 255
    found = {
        "part of mesh": float(part.sum() / covered.sum()),
        "edited of part": float(region[part].mean()),
        "changed of part": float((apart > VISIBLE)[part].mean()),
        "edited beside it": float((region & ~part).sum() / max(region.sum(), 1)),
    }
    seams = seams_changed(mesh, edit.texture, edit.region)
    for name, prefix in (("seams", ""), ("seams at the edge", "edge_")):
        before, after = seams[f"{prefix}before"], seams[f"{prefix}after"]
        if before is not None and after is not None:
            found[f"{name} before"], found[f"{name} after"] = before, after
    if seams["ratio"] is not None:
        found["seams ratio"] = seams["ratio"]
    return {name: round(value, 4) for name, value in found.items()}


def _sheet(folder: MeshFolder, edits: dict[str, MeshEdit], part: NDArray[np.bool_]) -> Image.Image:
    """The views that show most of the regions, before and after each way, and the textures."""
    shown = np.sum([[mask.sum() for mask in edit.masks] for edit in edits.values()], axis=0)
    views = np.argsort(-shown, kind="stable")[:SHEET_VIEWS]
    rows: list[list[Tile]] = [
        [(Image.fromarray(folder.views[view].image), f"view {view}") for view in views]
        + [(Image.fromarray(part), "the part")]
    ]
    for way, edit in edits.items():
        took = edit.things or edit.took
        row: list[Tile] = [
            (Image.fromarray(edit.renders[view]), f"{way}\n{took}") for view in views
        ]
        rows.append([*row, (Image.fromarray(edit.region), "region")])
    return contact_sheet(rows)
