"""The demo's contact sheet: rows of one width, a map over its picture, a region cut out of it."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from backend.output import poster


def test_every_row_of_a_poster_is_as_wide_as_the_others(tmp_path: Path) -> None:
    red, blue = Image.new("RGB", (40, 40), (200, 0, 0)), Image.new("RGB", (40, 30), (0, 0, 200))
    sheet = np.asarray(poster.poster([[(red, "one\ntwo")] * 4, [(blue, "")] * 3], width=800))
    for colour, count in (((200, 0, 0), 4), ((0, 0, 200), 3)):
        rows, columns = np.nonzero((sheet == colour).all(axis=2))
        assert columns.min() == poster.GAP
        assert columns.max() == poster.GAP + 800 - 1
        across = (sheet[rows.min()] == colour).all(axis=1)
        assert int((np.diff(across.astype(int)) == 1).sum()) == count
        side = (800 - (count - 1) * poster.GAP) / count
        ratio = 1 if count == 4 else 0.75
        assert abs(rows.max() + 1 - rows.min() - side * ratio) <= 1


def test_region_keeps_the_pictures_bytes_inside_and_is_pale_outside() -> None:
    picture = Image.new("RGB", (60, 60), (30, 120, 60))
    region = Image.new("L", (60, 60))
    region.paste(255, (20, 20, 40, 40))
    shown = np.asarray(poster.cut_out(region, picture))
    assert (shown[20:40, 20:40] == (30, 120, 60)).all()
    assert (shown[16:20, 20:40] == poster.INK).all()  # the outline lies outside
    assert shown[0, 0].min() > 180
    assert np.ptp(shown[0, 0].astype(int)) < 8


def test_map_is_bright_where_it_is_high_and_the_dimmed_picture_where_it_is_low() -> None:
    picture = Image.new("RGB", (8, 4), (200, 200, 200))
    relevance = Image.new("L", (8, 4))
    relevance.paste(255, (4, 0, 8, 4))
    shown = np.asarray(poster.over_picture(relevance, picture))
    assert (shown[:, :4] == round(200 * poster.DIM)).all()
    assert (shown[:, 4:] == (252, 255, 164)).all()


def test_poster_is_written_from_a_description(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (250, 200, 10)).save(tmp_path / "render.png")
    Image.new("L", (64, 64), 255).save(tmp_path / "map.png")
    render, relevance = str(tmp_path / "render.png"), str(tmp_path / "map.png")
    row = [
        {"picture": render, "words": "render"},
        {"relevance": relevance, "of": render, "words": "map"},
        {"region": relevance, "of": render, "words": "region"},
    ]
    (tmp_path / "poster.json").write_text(json.dumps([row]), "utf-8")
    out = tmp_path / "poster.png"
    assert poster.main([str(out), str(tmp_path / "poster.json")]) == 0
    with Image.open(out) as sheet:
        assert sheet.width == poster.WIDTH + 2 * poster.GAP
    assert poster.main([]) == 2
