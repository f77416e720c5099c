"""Which build of torch is installed, and from where.

The registry's plain package is the CUDA build on Linux (several GB) and a CPU build on Windows and
macOS. PyTorch's own index has every build. torchvision is never installed: the registry's one is
linked to CUDA, and next to a CPU build of torch its import fails and takes diffusers and
transformers down with it.
"""

from __future__ import annotations

import json
import platform
import shutil
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

from .processes import ROOT, InstallError, capture, run_pip

REQUIREMENTS = "backend/requirements-torch.txt"
INDEX = "https://download.pytorch.org/whl/"
DEFAULT_CUDA = "cu130"  # the build that the registry's plain package for Linux is, too
PROBE = """
import importlib.util, json, torch
print(json.dumps([torch.__version__, torch.version.cuda, torch.cuda.is_available(),
                  importlib.util.find_spec("torchvision") is not None]))
"""


def has_nvidia_gpu() -> bool:
    """True where nvidia-smi is there and lists a GPU."""
    if shutil.which("nvidia-smi") is None:
        return False
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and "GPU" in listed.stdout


def choose(asked: str | None, recorded: str | None) -> str:
    """The build ("cpu", "cuda", "cu126"...): as asked, else as it was, else as the machine is."""
    return asked or recorded or ("cuda" if has_nvidia_gpu() else "cpu")


def index_name(build: str, system: str) -> str | None:
    """The part of PyTorch's index that has a build, None for the registry's plain package.

    Raises InstallError for CUDA on macOS, which has none.
    """
    if system == "Darwin":
        if build != "cpu":
            raise InstallError("There is no CUDA on macOS: leave --cuda out.")
        return None
    if build == "cuda":
        return DEFAULT_CUDA if system == "Windows" else None
    if build == "cpu" and system == "Windows":
        return None
    return build


def reachable(url: str, seconds: float = 5) -> bool:
    """True where a server answers at `url`, with any status, within `seconds`."""
    answered = []

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            urllib.request.urlopen(request, timeout=seconds).close()
        except urllib.error.HTTPError:
            pass
        except urllib.error.URLError as error:
            # pip may well have the certificates that Python lacks
            if not isinstance(error.reason, ssl.SSLCertVerificationError):
                return
        except (OSError, ValueError):
            return
        answered.append(True)

    # in a thread, as looking up a name obeys no timeout
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return bool(answered)


def install(python: Path, build: str) -> None:
    """Installs torch into an environment that has all of requirements.txt, and proves that it
    imports.

    Raises InstallError where a CUDA build was wanted and the registry has none, or torch does not
    work.
    """
    arguments: list[str | Path] = [
        "install",
        "-r",
        ROOT / REQUIREMENTS,
        "-c",
        ROOT / "backend/requirements.txt",
    ]
    name = index_name(build, platform.system())
    if name == "cpu" and not reachable(INDEX + name):
        print(
            "  PyTorch's own index does not answer: taking the package registry's plain torch, on"
            " most Linux machines the CUDA build (several GB; it runs on the CPU as well).",
            flush=True,
        )
        name = None
    run_pip(python, [*arguments, "--index-url", INDEX + name] if name else arguments)
    code, output = capture([python, "-c", PROBE])
    if code != 0:
        raise InstallError(
            f"torch was installed but does not import: {output.strip().splitlines()[-1]}"
        )
    version, cuda, available, torchvision = json.loads(output.splitlines()[-1])
    if torchvision:
        raise InstallError(
            "torchvision came in with a package: it breaks CPU builds of torch, so remove its pin."
        )
    if build != "cpu" and cuda is None:
        raise InstallError(
            f"pip found torch {version}, a CPU build, where {build} was wanted: name a build of"
            f" PyTorch's own index, as --cuda {DEFAULT_CUDA}, check pip's settings, or use --cpu."
        )
    if build != "cpu" and not available and has_nvidia_gpu():
        print(
            f"  torch's CUDA {cuda} does not work with this GPU's driver: update the driver, or run"
        )
        print("  `install.py backend --cuda cu126`, the build for older drivers and GPUs.")
    print(f"  torch {version}, {'CUDA ' + cuda if cuda else 'CPU'}", flush=True)
