"""The system libraries that Blender's module needs, and the Debian packages that have them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from .processes import InstallError, capture

DEBIAN_PACKAGES = {
    "libEGL": "libegl1",
    "libGL": "libgl1",
    "libICE": "libice6",
    "libSM": "libsm6",
    "libX11": "libx11-6",
    "libXext": "libxext6",
    "libXfixes": "libxfixes3",
    "libXi": "libxi6",
    "libXrender": "libxrender1",
    "libXxf86vm": "libxxf86vm1",
    "libgomp": "libgomp1",
    "libxkbcommon": "libxkbcommon0",
}


def missing_libraries(output: str) -> list[str]:
    """File names of the libraries not found, by an ImportError's text or by ldd's list."""
    signs = r"(lib[\w+.-]+?\.so[\d.]*)(?: => not found|: cannot open shared object)"
    return sorted(set(re.findall(signs, output)))


def missing_sentence(libraries: list[str]) -> str:
    """One sentence that names the libraries, and their Debian packages where those are known."""
    stems = [library.partition(".so")[0] for library in libraries]
    packages = sorted({DEBIAN_PACKAGES[stem] for stem in stems if stem in DEBIAN_PACKAGES})
    hint = f" (Debian, Ubuntu: apt install {' '.join(packages)})" if packages else ""
    return (
        "Blender's module needs system libraries that are missing: install"
        f" {', '.join(libraries)}{hint}."
    )


def check_bpy(python: Path) -> None:
    """Imports bpy in an environment. Raises InstallError that names the libraries it lacks."""
    code, output = capture([python, "-c", "import bpy"])
    if code == 0:
        return
    libraries = missing_libraries(output)
    if libraries and shutil.which("ldd"):
        # the loader names the first missing one only
        for binary in python.parent.parent.glob("lib/python*/site-packages/bpy/*.so"):
            libraries = missing_libraries(capture(["ldd", binary])[1]) or libraries
    if libraries:
        raise InstallError(missing_sentence(libraries))
    raise InstallError(f"Blender's module does not import: {output.strip().splitlines()[-1]}")
