"""What install.py does for a program that starts it and shows what it says: how far a download is,
its end with that program, and why it cannot write.
"""

import errno
import http.server
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from installer import processes
from installer.processes import ROOT, Download, in_words

NAME = "slow_package-1.0-py3-none-any.whl"
SIZE = 3_000_000


class SlowIndex(http.server.BaseHTTPRequestHandler):
    """A package index with one wheel, which is no real one and takes five seconds."""

    def do_GET(self) -> None:
        is_page = self.path.startswith("/simple/slow-package")
        body = f'<a href="/files/{NAME}">{NAME}</a>'.encode() if is_page else bytes(SIZE)
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if is_page else "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for start in range(0, len(body), SIZE // 10):
            self.wfile.write(body[start : start + SIZE // 10])
            time.sleep(0 if is_page else 0.5)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[str]:
    """The address of that index."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), SlowIndex) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()


def test_a_download_is_told_in_percent_and_leaves_nothing_behind(
    index: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(processes, "CACHE", tmp_path)
    monkeypatch.setattr(processes, "PIP_LOG", tmp_path / "pip.log")
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "left by an install that was killed").touch()
    options: list[str | Path] = ["--target", tmp_path / "there", "--no-cache-dir", "--no-deps"]
    with pytest.raises(processes.InstallError):  # as it is no wheel
        processes.run_pip(
            Path(sys.executable), ["install", *options, "--index-url", index, "slow-package"], 4
        )
    said = re.findall(r"1/4 slow_package \(3\.0 MB\) \((\d+)%\)", capsys.readouterr().out)
    percents = [int(one) for one in said]
    assert percents == sorted(percents)
    assert 0 < percents[0] < percents[-1] <= 100
    assert not (tmp_path / "pip").exists()


@pytest.mark.parametrize(
    ("line", "download"),
    [
        (
            "  Downloading a-1-py3-none-any.whl (812.3 MB)",
            Download("a-1-py3-none-any.whl", 812.3e6),
        ),
        ("Downloading https://x/whl/a%2Bcpu.whl (5 kB)", Download("a+cpu.whl", 5e3)),
        ("  Using cached a-1-py3-none-any.whl (812.3 MB)", None),
        ("Collecting a", None),
    ],
)
def test_what_pip_downloads_is_read_from_its_words(line: str, download: Download | None) -> None:
    assert Download.of(line) == download


@pytest.mark.skipif(sys.platform == "win32", reason="looks at a process group")
def test_all_of_an_installation_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    """That program is killed, and what the installation has started, too, does not go on."""
    installing = (
        "import subprocess, sys, time\n"
        "from installer.processes import stop_with_input\n"
        "stop_with_input()\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    starter = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdin=subprocess.PIPE,\n"
        "                 start_new_session=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", starter, installing]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        inner = psutil.Process(int(parent.stdout.readline()))
        both = [inner, psutil.Process(inner.ppid())]
        parent.kill()
    gone, alive = psutil.wait_procs(both, timeout=20)
    assert len(gone) == 2, alive


def test_what_cannot_be_written_is_said_with_what_to_do() -> None:
    for number in (errno.EROFS, errno.EACCES, errno.EPERM):
        error = OSError(number, os.strerror(number), "/opt/program/.cache")
        assert in_words(error).startswith("/opt/program/.cache cannot be written: move the program")
    assert "disk is full" in in_words(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    other = OSError(errno.EISDIR, "Is a directory", "name")
    assert in_words(other) == str(other)
