"""A model is downloaded from a hub on this machine, and the log says how far it is."""

import http.server
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.editing.models.downloads import so_far
from tests.backend.tiny_model import save_tiny_model

SHA = "0" * 39 + "1"
SLOW = "unet/diffusion_pytorch_model.safetensors"
SECONDS = 6.0


def hub_of(folder: Path) -> type[http.server.BaseHTTPRequestHandler]:
    """The hub, as far as it is asked, with one model "somebody/model" whose files are in a folder;
    the largest takes its time.
    """
    names = sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())
    about = {
        "_id": "1",
        "id": "somebody/model",
        "modelId": "somebody/model",
        "sha": SHA,
        "siblings": [{"rfilename": name} for name in names],
        "tags": [],
    }

    class Hub(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            match = re.fullmatch(r"/somebody/model/resolve/[^/]+/(.+)", path)
            if "/tree/" in path:
                listed = [
                    {"type": "file", "path": n, "size": (folder / n).stat().st_size, "oid": "1"}
                    for n in names
                ]
                self._answer(json.dumps(listed).encode(), "tree")
            elif path.startswith("/api/models/somebody/model"):
                self._answer(json.dumps(about).encode(), "about")
            elif match and match[1] in names:
                self._answer((folder / match[1]).read_bytes(), match[1])
            else:
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()

        def _answer(self, body: bytes, name: str) -> None:
            self.send_response(200)
            self.send_header("X-Repo-Commit", SHA)
            self.send_header("ETag", f'"{name.replace("/", "-")}"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "HEAD":
                return
            step = max(1, len(body) // 20)
            for start in range(0, len(body), step):
                self.wfile.write(body[start : start + step])
                time.sleep(SECONDS / 20 if name == SLOW else 0)

        def log_message(self, *args: object) -> None:
            pass

    return Hub


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    """Its address."""
    handler = hub_of(save_tiny_model(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_log_says_how_far_a_download_is(hub: str, tmp_path: Path) -> None:
    text = (
        "import sys\n"
        "from backend.logs import log_to\n"
        "log_to(sys.stderr, 'worker')\n"
        "import huggingface_hub.constants\n"
        "huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 10_000\n"  # the files are small
        "from backend.editing import Editor\n"
        "print(Editor.from_pretrained('somebody/model', 'cpu').card.name)\n"
    )
    environ = os.environ | {
        "HF_ENDPOINT": hub,
        "HF_HOME": str(tmp_path / "hub"),
        "HF_HUB_DISABLE_XET": "1",
    }
    environ.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, env=environ, timeout=120
    )
    assert done.stdout.strip() == "somebody/model", done.stderr
    percents = [
        int(one)
        for one in re.findall(
            r"worker: downloading the model: [\d.]+ of [\d.]+ MB \((\d+)%\)$", done.stderr, re.M
        )
    ]
    assert len(percents) >= 3
    assert percents == sorted(percents)
    assert "it/s" not in done.stderr  # no bar that nobody can see


def test_bytes_in_words() -> None:
    assert so_far(1_234_000_000, 5_100_000_000) == "1.2 of 5.1 GB (24%)"
    assert so_far(5e6, 5e6) == "5.0 of 5.0 MB (100%)"
