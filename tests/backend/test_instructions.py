"""Instructions that cannot be one are refused in the same words, whichever way they come."""

from pathlib import Path

import pytest

from backend.__main__ import main
from backend.editing import Editor
from backend.errors import BadInput
from backend.fields.config import EDIT_PRESETS
from backend.meshes.texture_edit import edit_mesh
from backend.scenes import edit_run as scene_editing
from tests.protocol.test_text import WRONG

each = pytest.mark.parametrize("text", WRONG, ids=ascii)


@each
@pytest.mark.parametrize(
    "command",
    [
        ["relevance", "nowhere.png"],
        ["edit", "nowhere.png"],
        ["scene", "edit", "nowhere"],
        ["scene", "texture", "nowhere"],
    ],
    ids=" ".join,
)
def test_on_the_command_line(command, text, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    if command[1] == "nowhere.png":
        (tmp_path / "nowhere.png").write_bytes(SMALLEST_PNG)
    out = [] if command[1] == "edit" else ["--out", str(tmp_path / "out")]
    assert main([*command, text, *out]) == 1
    said = capsys.readouterr().err
    assert WRONG[text] in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


@each
def test_in_python(text) -> None:
    editor = object.__new__(Editor)  # refused before anything of it is looked at
    for refused in (
        lambda: editor.relevance(text),
        lambda: list(editor.relevance_of_images(text, [])),
        lambda: editor.edit(text),
        lambda: editor.edit_images(text, [], [], [], [], []),
        lambda: edit_mesh(None, [], text, editor),  # type: ignore[arg-type]
        lambda: scene_editing._check(text, None, EDIT_PRESETS["preview"], False),
    ):
        with pytest.raises(BadInput, match=WRONG[text]):
            refused()


SMALLEST_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63606060000000040001f61738550000000049454e44ae426082"
)
