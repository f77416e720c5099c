"""Pictures side by side with words."""

import numpy as np
from PIL import Image

from backend.output.contact_sheet import MARGIN, PAPER, contact_sheet

SIDE = 96


def test_words_longer_than_a_tile_stay_below_it() -> None:
    """They were written over the words of the next one."""
    picture = Image.new("RGB", (SIDE, SIDE), (10, 120, 200))
    name = "IMG_20260814_173912_HDR_portrait.jpg"
    for words in (f"{name}\nfound worst", "put a blue ball on top of it, and another beside it"):
        short = np.asarray(contact_sheet([[(picture, "a"), (picture, "")]], tile=SIDE))
        sheet = np.asarray(contact_sheet([[(picture, words), (picture, "")]], tile=SIDE))
        assert len(sheet) > len(short)  # all of them are there, in further lines
        beside = sheet[MARGIN + SIDE :, MARGIN + SIDE + MARGIN // 2 :]
        assert (beside == PAPER).all()
        rows = np.flatnonzero((sheet[MARGIN + SIDE :, MARGIN : MARGIN + SIDE] != PAPER).any((1, 2)))
        assert rows[-1] - rows[0] > 2 * 13
