"""Locks between processes."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from backend.work_lock import LOCK_FILE, InUse, alone, lock

HOLD = """
import sys
from pathlib import Path
from backend.work_lock import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_falls_when_its_process_is_killed(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"held"
        with pytest.raises(InUse, match="Another backend"), alone(tmp_path):
            pass
        holder.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
    assert (tmp_path / LOCK_FILE).exists()
    with alone(tmp_path):
        assert lock(tmp_path / LOCK_FILE) is None  # in this process too
    with alone(tmp_path):
        pass


def test_locking_a_capture_that_is_gone_does_not_make_it_again(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), alone(tmp_path / "gone"):
        pass
    assert not (tmp_path / "gone").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="other calls there")
@pytest.mark.parametrize(
    ("answer", "taken"), [(errno.EAGAIN, True), (errno.EACCES, True), (errno.ENOLCK, False)]
)
def test_what_file_systems_answer_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int, taken: bool
) -> None:
    """Some, such as NFS, refuse a lock that is taken as they refuse a permission."""

    def refuse(descriptor: int, kind: int) -> None:
        raise OSError(answer, os.strerror(answer))

    monkeypatch.setattr("fcntl.flock", refuse)
    opened = psutil.Process().num_fds()
    if taken:
        assert lock(tmp_path / "lock") is None
    else:
        with pytest.raises(OSError, match=os.strerror(answer)):
            lock(tmp_path / "lock")
    assert psutil.Process().num_fds() == opened


@pytest.mark.skipif(sys.platform == "win32", reason="other permissions there")
def test_people_who_share_a_folder_share_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever came second was refused a permission, long after the first was done."""
    path = tmp_path / "lock"
    for folder_mode, mode in ((0o755, 0o644), (0o700, 0o600)):
        tmp_path.chmod(folder_mode)
        before = os.umask(0o022)
        descriptor = lock(path)
        os.umask(before)
        assert descriptor is not None
        os.close(descriptor)
        assert path.stat().st_mode & 0o777 == mode
        path.unlink()
    path.touch()
    real = os.open

    def others(place: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied", str(place))
        return real(place, flags, mode)

    monkeypatch.setattr(os, "open", others)
    descriptor = lock(path)
    assert descriptor is not None
    assert lock(path) is None
    os.close(descriptor)
    with pytest.raises(PermissionError):
        lock(tmp_path / "none")
