"""The add-on in other languages: nothing is missing, nothing is left over, and what is put together
is found again. The bpy module has no translations of its own, so that its look-up is stood in for.
"""

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import addon_texts
import blf
import bpy
import pytest
from driving import SECONDS, run, start_manual
from fake_server import FakeServer
from test_threshold import drawn

NUMBERED = re.compile(r"\{(\d+)(?::_)?\}")
ROOM = 280 - 64
"""Unscaled pixels of a button over the whole width of a sidebar of 280."""


@pytest.fixture
def languages(installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.ui.languages")


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """All texts, and where each is."""
    package = "bl_ext.user_default.watch_your_steps"
    folder = Path(importlib.import_module(package).__file__).parent
    sources = addon_texts.of_sources(folder)
    return sources | addon_texts.of_undo_steps(package) | addon_texts.of_classes(package)


@pytest.fixture
def german(languages: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """What panels say where Blender is set to German."""
    table = languages.table(languages.CATALOGS["de_DE"])

    def look_up(text: str, context: str = "*") -> str:
        return table.get((context, text), text)

    for name in ("pgettext_iface", "pgettext_tip", "pgettext_rpt"):
        monkeypatch.setattr(languages, name, look_up)
    return languages.iface_


# ---------------------------------------------------------------- complete


def test_every_text_is_in_every_catalog(languages: ModuleType, texts: dict[str, str]) -> None:
    for name, entries in languages.CATALOGS.items():
        known = {text for _, text in entries}
        missing = [f'{place}\nmsgid "{text}"' for text, place in texts.items() if text not in known]
        assert not missing, f"{name} lacks {len(missing)}:\n" + "\n".join(missing)


def test_no_catalog_has_what_nobody_says(languages: ModuleType, texts: dict[str, str]) -> None:
    for name, entries in languages.CATALOGS.items():
        assert not {text for _, text in entries} - set(texts), f"{name} has these for nothing"


def test_translations_have_the_values_of_their_texts(languages: ModuleType) -> None:
    for entries in languages.CATALOGS.values():
        for (_, text), said in entries.items():
            assert said, f"{text!r} has no translation"
            assert sorted(NUMBERED.findall(text)) == sorted(NUMBERED.findall(said)), text
            assert said.endswith(".") or not text.endswith("."), text


def test_no_text_with_values_goes_to_blender_as_it_is(installed: str) -> None:
    folder = Path(importlib.import_module(installed).__file__).parent
    assert addon_texts.unwrapped(folder) == []


def test_a_text_that_is_forgotten_is_found(tmp_path: Path) -> None:
    (tmp_path / "ui").mkdir()
    (tmp_path / "ui" / "panel.py").write_text(
        "def draw(layout, count):\n"
        '    """Not this."""\n'
        '    layout.label(text=f"{count} edits wait")\n'
        '    layout.operator("a.b", text="Stop")\n'
        '    raise ValueError("Nothing is chosen: choose one.")\n'
    )
    found = addon_texts.of_sources(tmp_path)
    assert {"{0} edits wait", "Stop", "Nothing is chosen: choose one."} == (
        set(found) - addon_texts.WORDS - addon_texts.OF_BACKEND
    )
    assert addon_texts.unwrapped(tmp_path) == ["panel.py:3 {0} edits wait"]


def test_the_backend_says_what_is_translated_of_it() -> None:
    backend = Path(__file__).parents[2] / "backend"
    said = "".join(path.read_text(encoding="utf-8") for path in backend.rglob("*.py"))
    said = re.sub(r"\{[^{}]*\}", "{}", said)
    for text in addon_texts.OF_BACKEND:
        words = NUMBERED.sub("{}", text).removeprefix("{} s ").removeprefix("{} min ")
        assert words in said, text


# ---------------------------------------------------------------- found again


def test_each_template_is_found_by_what_is_made_of_it(languages: ModuleType) -> None:
    """Also where another one would fit, too."""
    for entries in languages.CATALOGS.values():
        for _, text in entries:
            if NUMBERED.search(text):
                values = [f"value {number}" for number in range(6)]
                found = languages._sentences.found(text.format(*values))
                assert found == (text, tuple(values[: len(NUMBERED.findall(text))])), text


@pytest.mark.parametrize(
    ("english", "said"),
    [
        ("There is no connection", "Es gibt keine Verbindung"),
        ("There is no connection.", "Es gibt keine Verbindung."),
        ("Suggested: 0.400", "Vorschlag: 0.400"),
        (
            "Preview failed: The instruction is empty: say what should change, such as "
            '"turn the ball red".',
            "Vorschau fehlgeschlagen: Die Anweisung ist leer: sagen, was sich ändern soll, etwa "
            '"turn the ball red".',
        ),
        (
            "The camera, the frame and the objects have changed since this render: preview again "
            "to take a new one.",
            "Seit diesem Rendering geändert: Kamera, Einzelbild, Objekte. Für ein neues die "
            "Vorschau erneut berechnen.",
        ),
        (
            '"Mr. A" shows its relevance: press Original or Edited first. "Is it? No" is not a '
            "mesh: convert it (Object > Convert > Mesh).",
            '"Mr. A" zeigt seine Relevanz: zuerst "Original" oder "Bearbeitet" drücken. "Is it? '
            'No" ist kein Mesh: konvertieren (Objekt > Konvertieren).',
        ),
        ("Edit was cancelled. 2 more failed.", "Bearbeiten abgebrochen. 2 weitere fehlgeschlagen."),
        ("Trained for 400 steps", "Trainiert über 400 Schritte"),
        ("Ready: the demo model on cpu", "Bereit: das Demo-Modell auf cpu"),
        ("guidance 7.5 and 1.5 (the model's own)", "Führung 7.5 und 1.5 (die des Modells)"),
        ("Ready: some/model on cpu", "Bereit: some/model auf cpu"),
    ],
)
def test_what_is_put_together_is_said_in_german(
    german: Callable[[str], str], english: str, said: str
) -> None:
    assert german(english) == said


@pytest.mark.parametrize(
    "text", ["", "Cube", "Sharp edges of Suzanne.001", "The model is busy. Try again at 5 o'clock."]
)
def test_what_is_not_the_add_ons_stays_as_it_is(german: Callable[[str], str], text: str) -> None:
    assert german(text) == text


def test_names_in_sentences_stay_as_they_are(german: Callable[[str], str]) -> None:
    assert german('"Mask" is not a mesh') == '"Mask" ist kein Mesh'
    assert german('On top of "Edit".') == 'Auf "Edit".'
    assert (
        german("cube.png was saved, 8 x 8, in out.") == "cube.png wurde gespeichert, 8 x 8, in out."
    )


def test_nothing_is_translated_in_english(languages: ModuleType) -> None:
    assert languages.iface_("Suggested: 0.400") == "Suggested: 0.400"


def test_a_line_is_not_translated_again(
    addon: object, german: Callable[[str], str], installed: str
) -> None:
    """Blender would take a line of one word for a label of its own."""
    lines = []

    class Layout:
        def column(self, **_: object) -> "Layout":
            return self

        def label(self, *, text: str, icon: str, translate: bool) -> None:
            lines.append((text, translate))

    words = importlib.import_module(f"{installed}.ui.words")
    words.wide_paragraph(Layout(), bpy.context, "Before, after, relevance", 420)
    assert lines == [("Vorher, nachher, Relevanz", False)]


def test_the_panel_has_no_english_left(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    installed: str,
    languages: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """With a map, an edit, a message, a stale render and a job that runs."""
    run(connected, "edit")
    scene.watch_your_steps.base = "EDIT"
    scene.camera.location.x += 1
    job = start_manual(connected, scene, server)
    server.progress(job, "Denoising, step 24 of 100, about 5 s left", 0.24)
    connected.session.wait(lambda: connected.session.job_of(scene).fraction == 0.24, SECONDS)
    connected.session.say(scene, "Edit was cancelled. 3 more failed.")
    texts = drawn(connected, installed, monkeypatch).texts
    german = request.getfixturevalue("german")
    catalog = {text for _, text in languages.CATALOGS["de_DE"]}
    words = importlib.import_module(f"{installed}.ui.words")
    english = [text for text in texts if words.listed(german(text)) == text and text not in catalog]
    assert [text for text in english if addon_texts.WORD.search(text)] == []
    assert "Edit was cancelled. 3 more failed." in texts


# ---------------------------------------------------------------- room


def test_buttons_fit(german: Callable[[str], str], languages: ModuleType, installed: str) -> None:
    style = bpy.context.preferences.ui_styles[0]
    blf.size(0, style.widget.points)
    for name, one in addon_texts._classes(installed):
        if issubclass(one, bpy.types.Operator | bpy.types.Panel):
            said = german(one.bl_label)
            assert blf.dimensions(0, said)[0] <= ROOM, f"{name}: {said}"


# ---------------------------------------------------------------- files


def test_a_catalog_that_is_broken_says_where(languages: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "xx.po"
    path.write_text(
        'msgid ""\nmsgstr "Language: xx\\n"\n\n# a\nmsgid "a"\nmsgstr "b "\n"c\\"\\n"\n'
    )
    assert languages.catalogs.read(path) == {("", "a"): 'b c"\n'}
    path.write_text('msgid "a"\nmsgstr "b"\n\nmsgid "a"\nmsgstr "c"\n')
    with pytest.raises(ValueError, match="'a' twice"):
        languages.catalogs.read(path)
    path.write_text("msgid a\n")
    with pytest.raises(ValueError, match="no line"):
        languages.catalogs.read(path)


def test_a_context_of_its_own_wins(languages: ModuleType) -> None:
    table = languages.table({("", "Edit"): "Bearbeiten", ("*", "Edit"): "Bearbeitung"})
    assert table["Operator", "Edit"] == "Bearbeiten"
    assert table["*", "Edit"] == "Bearbeitung"
