"""The manual builds, its links lead somewhere, and a newcomer finds the way."""

import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend import __version__
from protocol.known_settings import all_settings
from protocol.settings import (
    EditSettings,
    MeshSettings,
    PictureMapSettings,
    TextureSettings,
    UpdateSettings,
)

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    path
    for pattern in ("*.md", "docs/**/*.md", "backend/**/*.md", "protocol/*.md", "examples/*.md")
    for path in sorted(ROOT.glob(pattern))
]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|^(?:    |\t).*?$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
FROM_OUTSIDE = re.compile(r'<(?:script|img|link rel="(?:stylesheet|preconnect)")[^>]*"https?:')


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """File and anchor of every link of a page but those into the net."""
    text = CODE.sub("", page.read_text("utf-8"))
    for target in LINK.findall(text):
        if not re.match(r"\w+:", target):
            path, _, anchor = target.partition("#")
            yield (page.parent / path).resolve() if path else page, anchor


def anchors(page: Path) -> set[str]:
    """What can stand behind the # of a link to a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    included = re.search(r"<!-- include (\S+) -->", text)
    if included is not None:
        return anchors(page.parent / included[1])
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", one.lower()).strip().replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), f"{page.name} links to {target}"
        assert target.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(target), f"{page.name} links to #{anchor} of {target.name}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built manual. A warning of mkdocs ends the build."""
    folder = tmp_path_factory.mktemp("manual") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_manuals_pages_open_from_disk_without_a_network(site: Path) -> None:
    pages = [path for path in site.rglob("*.html") if path.name != "404.html"]
    assert len(pages) == len(list(DOCS.glob("*.md")))
    for page in pages:
        assert FROM_OUTSIDE.search(page.read_text("utf-8")) is None, page.name
    # the search's words lie in a script, which a page from disk can load
    assert "relevance" in (site / "search" / "search_index.js").read_text("utf-8")
    assert (site / "assets" / "iframe-worker.js").is_file()


def test_the_equations_are_shown_by_the_browser_itself(site: Path) -> None:
    page = (site / "how-it-works.html").read_text("utf-8")
    shown = re.findall(r'<math [^>]*display="block".*?</math>', page, re.DOTALL)
    assert len(shown) == 6
    assert "$$" not in page
    assert 'class="arithmatex"' not in page
    texts = [html.unescape(re.sub(r"<[^>]+>", "", one)) for one in shown]
    assert [text[-2] for text in texts if text.endswith(")")][:5] == list("23145")


def test_the_code_stands_beside_the_equations(site: Path) -> None:
    page = (site / "how-it-works.html").read_text("utf-8")
    for name in ("noise_differences", "normalise", "predict", "guided_edit", "composite"):
        assert f"{name}</span>" in page


def clicks(start: Path) -> dict[Path, int]:
    """How many links lead from a page to others, at least; files end the way."""
    found, open_pages = {start: 0}, [start]
    while open_pages:
        page = open_pages.pop(0)
        if page.suffix != ".md":
            continue
        for target, _ in links(page):
            if target not in found and target.is_file():
                found[target] = found[page] + 1
                open_pages.append(target)
    return found


def test_a_stranger_gets_everywhere_in_two_clicks() -> None:
    """From README to the equations, to where a model is added and to the first edit's command."""
    readme = ROOT / "README.md"
    away = clicks(readme)
    how_it_works = DOCS / "how-it-works.md"
    equations = [one for one, _ in links(how_it_works) if one.suffix == ".py"]
    assert {one.name for one in equations} == {
        "relevance.py",
        "guided_edit.py",
        "relevance_field.py",
        "instruct_pix2pix.py",
    }
    assert all(away[one] <= 2 for one in equations)
    assert (DOCS / "models.md", "add-a-model") in set(links(readme))
    assert '-m backend edit photo.jpg "' in readme.read_text("utf-8")
    assert len(readme.read_text("utf-8").splitlines()) <= 150


def test_every_page_of_the_manual_can_be_reached() -> None:
    away = clicks(ROOT / "README.md")
    missing = [one.name for one in DOCS.glob("*.md") if one not in away]
    assert missing == []


COMMAND = re.compile(r"python(?:\.exe)? (?:-m ([\w.]+)|([\w./-]+\.py))")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_run_modules_and_scripts_that_exist(page: Path) -> None:
    for module, script in COMMAND.findall(page.read_text("utf-8")):
        if script:
            assert (ROOT / script).is_file(), script
        elif module.split(".")[0] in ("backend", "examples", "protocol"):
            path = ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


def test_versions_that_are_written_twice_are_the_same() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    pins = (ROOT / "tests" / "requirements.txt").read_text("utf-8")
    ruff = re.search(r"^ruff==(\S+)$", pins, re.MULTILINE)
    assert ruff is not None
    assert f"rev: v{ruff[1]}" in hooks
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    manifest = (ROOT / "blender_addon" / "blender_manifest.toml").read_text("utf-8")
    assert f"\nversion: {__version__}\n" in citation
    assert f'\nversion = "{__version__}"\n' in manifest
    assert f"({__version__})" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_every_setting_stands_in_the_manual_with_its_default(site: Path) -> None:
    page = (site / "python.html").read_text("utf-8")
    for kind in (PictureMapSettings, EditSettings, TextureSettings, UpdateSettings, MeshSettings):
        for one in all_settings(kind):
            row = rf"<code>{one.name}</code></td>\s*<td>[^<]+</td>\s*<td><code>([^<]*)</code>"
            assert str(one.default) in re.findall(row, page), one.name


@pytest.mark.parametrize("top", ["backend", "blender_addon"])
def test_contributing_names_every_room_of_the_house(top: str) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    house = re.split(r"\n    \w", text[text.index(f"    {top}/") + 5 :], maxsplit=1)[0]
    rooms = {path.parent.name for path in (ROOT / top).glob("*/*.py")}
    assert rooms - set(re.findall(r"(\w+)/ ", house)) == set()


def test_every_link_of_the_built_manual_leads_to_a_file(site: Path) -> None:
    """Pages and pictures in it; and files of the repository, which it is built into."""
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # written for a server's root
            continue
        for target in re.findall(r'(?:href|src)="([^"#?:]+)[^":]*"', page.read_text("utf-8")):
            path = Path(os.path.normpath(page.parent / html.unescape(target)))
            if not path.is_relative_to(site):
                path = ROOT / path.relative_to(site.parent)
            assert path.exists(), f"{page.name} links to {target}"
