"""The Blender extension: its pinned wheels, its staged folder, and its zips by Blender's tool."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .environments import file_hash
from .processes import CACHE, ROOT, InstallError, capture, run_pip

WHEEL_LIST = ROOT / "blender_addon" / "wheels.txt"
WHEEL_CACHE = CACHE / "wheels"
STAGE = ROOT / "build" / "extension"
NOT_SHIPPED = (
    "__pycache__",
    "*.pyc",
    "tests",
    "demo",
    "tools",
    "requirements*.txt",
    "wheels.txt",
    ".*",
)


@dataclass(frozen=True)
class Wheel:
    """A pinned wheel: its file name, which holds its tags (PEP 427), and its sha256 in hex."""

    filename: str
    sha256: str

    def requirement(self) -> str:
        """The line that asks pip for this very file."""
        name, version = self.filename.split("-")[:2]
        return f"{name}=={version} --hash=sha256:{self.sha256}"

    def tag_options(self) -> list[str]:
        """The options with which `pip download` takes this file on any machine."""
        python, abi, platforms = self.filename.removesuffix(".whl").split("-")[-3:]
        version = python.removeprefix("cp")
        options = [f"--python-version={version[0]}.{version[1:]}", f"--abi={abi}"]
        return ["--implementation=cp", *options, *(f"--platform={t}" for t in platforms.split("."))]


def read_wheel_list(text: str) -> list[Wheel]:
    """Reads lines of sha256 and file name. Raises InstallError that quotes a line unlike that."""
    wheels = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"([0-9a-f]{64})  (\w+-[\w.]+-cp\d+-\w+-[\w.]+\.whl)", line.rstrip())
        if match is None:
            raise InstallError(
                f"{WHEEL_LIST} has a line that is not a sha256 and a wheel's name: {line!r}."
            )
        wheels.append(Wheel(match[2], match[1]))
    return wheels


def fetch_wheels(wheels: list[Wheel], python: Path) -> None:
    """Downloads by an environment's pip what the cache lacks: a full cache needs no network."""
    WHEEL_CACHE.mkdir(parents=True, exist_ok=True)
    for number, wheel in enumerate(wheels, 1):
        target = WHEEL_CACHE / wheel.filename
        if target.exists() and file_hash(target) == wheel.sha256:
            continue
        print(f"  wheel {number}/{len(wheels)}: {wheel.filename}", flush=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            requirement = Path(folder, "requirement.txt")
            requirement.write_text(wheel.requirement() + "\n", encoding="utf-8")
            options = ["--no-deps", "--only-binary=:all:", "--require-hashes", *wheel.tag_options()]
            run_pip(python, ["download", *options, "-d", folder, "-r", requirement], 1)
            downloaded = Path(folder, wheel.filename)
            if not downloaded.exists():
                names = ", ".join(path.name for path in Path(folder).glob("*.whl"))
                raise InstallError(f"The package index gave {names} instead of {wheel.filename}.")
            downloaded.replace(target)


def as_shipped(manifest: str, wheels: list[str], website: str | None = None) -> str:
    """A blender_manifest.toml's text with what is known when it is packed, before its first table.

    Args:
        manifest: as it lies in the repository.
        wheels: file names.
        website: of whoever publishes it, to which Blender links beside the extension's name; one
            that `check_website` lets through.

    Raises:
        InstallError: the manifest has one of these already.
    """
    added = {"wheels": "[\n" + "".join(f'  "./wheels/{name}",\n' for name in wheels) + "]"}
    if website is not None:
        added["website"] = json.dumps(website, ensure_ascii=False)
    for name in added:
        if name in tomllib.loads(manifest):
            raise InstallError(f"blender_manifest.toml must not have {name}: install.py writes it.")
    listed = "".join(f"{name} = {value}\n" for name, value in added.items())
    table = re.search(r"^\[", manifest, re.MULTILINE)
    position = table.start() if table else len(manifest)
    return f"{manifest[:position].rstrip()}\n\n{listed}\n{manifest[position:]}"


def check_website(website: str) -> None:
    """Raises InstallError where a text is no page's whole address."""
    try:
        parts = urlsplit(website)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # such as a bracket that is not closed
        whole = False
    if not whole or not website.isprintable() or " " in website:
        raise InstallError(
            "--website takes a page's whole address, such as https://example.org/,"
            f" not {website!r}."
        )


def stage(wheels: list[Wheel], website: str | None = None) -> Path:
    """Lays the extension out as it ships: blender_addon/, and in it protocol/ and wheels/.

    The website is as for `as_shipped`.
    Returns the folder, which has the extension's id as its name, so that it is a Python package.
    """
    source = ROOT / "blender_addon"
    manifest = (source / "blender_manifest.toml").read_text(encoding="utf-8")
    folder: Path = STAGE / tomllib.loads(manifest)["id"]
    shutil.rmtree(STAGE, ignore_errors=True)
    ignored = shutil.ignore_patterns(*NOT_SHIPPED)
    shutil.copytree(source, folder, ignore=ignored)
    shutil.copytree(ROOT / "protocol", folder / "protocol", ignore=ignored)
    (folder / "wheels").mkdir()
    for wheel in wheels:
        shutil.copyfile(WHEEL_CACHE / wheel.filename, folder / "wheels" / wheel.filename)
    names = [wheel.filename for wheel in wheels]
    (folder / "blender_manifest.toml").write_text(
        as_shipped(manifest, names, website), encoding="utf-8"
    )
    return folder


def blender_platform(system: str, machine: str) -> str:
    """Blender's name of a platform, as it stands in a zip's name: "linux_x64", "macos_arm64"..."""
    systems = {"darwin": "macos"}
    machines = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}
    system, machine = system.lower(), machine.lower()
    return f"{systems.get(system, system)}_{machines.get(machine, machine)}"


def extension_tool(python: Path) -> list[str | Path]:
    """The command of Blender's extension tool inside the bpy module of an environment."""
    folder = python.parent.parent
    for packages in ("lib/python3.11/site-packages", "Lib/site-packages"):
        tools = folder.glob(f"{packages}/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py")
        if tool := next(tools, None):
            return [python, tool]
    raise InstallError(f"{folder} has no bpy: delete that folder, and run this again.")


def build(tool: list[str | Path], pip_python: Path, out: Path, website: str | None = None) -> Path:
    """Builds and validates the zips of all platforms. Returns the one for this machine.

    `tool` is the command that understands Blender's `build` and `validate`; `pip_python` is an
    environment's Python whose pip downloads the wheels; the website is as for `as_shipped`.
    """
    wheels = read_wheel_list(WHEEL_LIST.read_text(encoding="utf-8"))
    fetch_wheels(wheels, pip_python)
    folder = stage(wheels, website)
    manifest = tomllib.loads((folder / "blender_manifest.toml").read_text(encoding="utf-8"))
    name = f"{manifest['id']}-{manifest['version']}"
    out.mkdir(parents=True, exist_ok=True)
    code, output = capture(
        [*tool, "build", "--source-dir", folder, "--output-dir", out, "--split-platforms"]
    )
    if code != 0:
        raise InstallError(f"Blender's extension tool did not build {name}: {output.strip()}")
    zips = {p: out / f"{name}-{p.replace('-', '_')}.zip" for p in manifest["platforms"]}
    for path in zips.values():
        code, output = capture([*tool, "validate", path])
        if code != 0:
            raise InstallError(f"Blender's extension tool finds {path} invalid: {output.strip()}")
        print(f"  {os.path.relpath(path)}, {path.stat().st_size / 1e6:.1f} MB", flush=True)
    here = blender_platform(platform.system(), platform.machine())
    for name, path in zips.items():
        if name.replace("-", "_") == here:
            return path
    raise InstallError(
        f"The extension has no zip for this machine ({here}), only for {', '.join(zips)}."
    )


def find_blender(given: str) -> Path:
    """The program of a Blender that fits the add-on, from a path, a macOS bundle or a command.

    Raises InstallError where there is none or it is too old.
    """
    found = shutil.which(f"{given}/Contents/MacOS/Blender" if given.endswith(".app") else given)
    output = capture([Path(found).resolve(), "--version"])[1] if found else ""
    version = re.search(r"Blender (\d+)\.(\d+)", output)
    if found is None or version is None:
        raise InstallError(f"{given} is no program that answers as Blender: give --blender one.")
    if (int(version[1]), int(version[2])) < (4, 5):
        raise InstallError(f"{given} is Blender {version[1]}.{version[2]}: 4.5 or newer is needed.")
    return Path(found).resolve()


def usual_places(home: Path) -> list[Path]:
    """The programs of the Blenders that lie where its installers put them, the newest first."""
    folders = {
        "Windows": [
            (
                Path(os.environ.get("PROGRAMFILES", "C:/Program Files")),
                "Blender Foundation/Blender */blender.exe",
            )
        ],
        "Darwin": [
            (Path("/Applications"), "Blender*.app/Contents/MacOS/Blender"),
            (home / "Applications", "Blender*.app/Contents/MacOS/Blender"),
        ],
    }
    linux = [
        (home, "blender-*/blender"),
        (home / "Downloads", "blender-*/blender"),
        (Path("/opt"), "blender*/blender"),
        (Path("/snap/bin"), "blender"),
    ]
    pairs = folders.get(platform.system(), linux)
    return [
        path for folder, pattern in pairs for path in sorted(folder.glob(pattern), reverse=True)
    ]


def any_blender() -> Path:
    """The program of a Blender that fits the add-on: the command `blender`, else one that lies
    where installers put it.

    Raises InstallError where there is none.
    """
    for given in ("blender", *map(str, usual_places(Path.home()))):
        with contextlib.suppress(InstallError):  # none, or too old: the next one may do
            return find_blender(given)
    raise InstallError(
        "No Blender 4.5 or newer was found: get one from blender.org, or say where it is with"
        " --blender PATH."
    )


def install_into(blender: Path, path: Path) -> None:
    """Installs a zip into a Blender's user extensions, enables it, and proves that it loads."""
    options = ["--command", "extension", "install-file", "-r", "user_default", "--enable"]
    said = capture([blender, *options, path])[1].strip().splitlines()
    # Blender's exit code is 0 whatever happened
    module = f"bl_ext.user_default.{path.name.partition('-')[0]}"
    ask = f"import addon_utils; print('loaded:', addon_utils.check({module!r})[1])"
    answer = capture([blender, "--background", "--python-expr", ask])[1]
    if "loaded: True" not in answer:
        reasons = [line for line in said if re.match(r"\w*Error\b|ERROR", line)] or said
        raise InstallError(f"Blender does not load {path.name}: {' '.join(reasons[-1:])}")
