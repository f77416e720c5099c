"""A worker whose work stands still ends itself; one that works for long in one call does not."""

import subprocess
import sys

import pytest

from backend.jobs.worker_messages import HUNG
from backend.worker.watchdog import SLOW_PLACES, GpuQueue, Look, Stillness
from protocol import files
from tests.backend.test_server import ROOT

HERE, THERE = ((1, 2),), ((1, 4),)


def look(when, place=HERE, processor=0.0, moved=(0, 0, 0)):
    return Look(when, place, processor, moved, 1.0)


def seconds(*looks):
    stillness = Stillness()
    for one in looks:
        stillness.see(one, 2.0)
    return stillness.seconds


def test_only_what_neither_goes_on_nor_works_nor_moves_anything_stands_still():
    still = [look(2.0 * n, processor=0.01 * n) for n in range(6)]  # the heartbeats' own
    assert seconds(*still) == 10
    for sign in (
        look(12.0, THERE, processor=0.06),
        look(12.0, processor=0.5),
        look(12.0, processor=0.06, moved=(1, 0, 0)),
        look(12.0, processor=0.06, moved=(0, 0, 8)),
    ):
        assert seconds(*still, sign) == 0


def test_a_process_that_was_stopped_itself_has_not_stood_still_meanwhile():
    assert seconds(look(0.0), look(2.0), look(3600.0), look(3602.0)) == 2 + 4 + 2


def test_a_gpu_stands_still_that_does_not_come_to_an_end():
    done = [True, True, False, False, False, True, False]
    queue = GpuQueue(lambda: lambda: done.pop(0))
    seen = []
    while done:
        queue.see(2.0)
        seen.append(queue.seconds)
    assert seen == [0, 0, 2, 4, 6, 0, 2]


BEGINNING = """
import hashlib, logging, sys, threading, time
from backend.worker.watchdog import Watchdog
logging.basicConfig()
watchdog = Watchdog(1.0)
"""
WORKING = """
def work(rounds):
    began = time.monotonic(), time.process_time()
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", rounds)
    return time.monotonic() - began[0], time.process_time() - began[1]
_, processor = work(200_000)
with watchdog.over_job(False, None):
    taken, _ = work(int(200_000 * 3 / processor))
print(taken)
with watchdog.over_loading():
    time.sleep(3)
time.sleep(3)  # between jobs
"""
HANGING = {
    "lock": """
lock = threading.Lock()
with watchdog.over_job(False, None), lock: lock.acquire()
""",
    "sleep": "with watchdog.over_job(False, None): time.sleep(600)",
    "loop of a driver": """
with watchdog.over_job(True, lambda: lambda: False):
    while True: pass
""",
    "second job": """
with watchdog.over_job(False, None): time.sleep(0.1)
with watchdog.over_job(False, None): sys.stdin.read()
""",
}


def run(text):
    return subprocess.Popen(
        [sys.executable, "-c", BEGINNING + text],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("kind", list(HANGING))
def test_a_main_thread_that_hangs_ends_the_process_and_the_log_says_where(kind):
    process = run(HANGING[kind])
    try:
        assert process.wait(60) == HUNG
        said = process.stderr.read()
        assert "this process ends" in said
        assert "in <string>:" in said
    finally:
        process.kill()
        process.communicate()


def test_one_long_call_that_works_and_the_time_between_jobs_do_not():
    process = run(WORKING)
    said, log = process.communicate(timeout=120)
    assert process.returncode == 0, log
    assert float(said) > 1.0  # longer than what hangs may take


def test_disks_and_other_programs_may_take_longer(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(files.os, "fsync", lambda _: seen.append(Look.now().factor))
    files.write_bytes(tmp_path / "a", b"x")
    assert seen
    assert set(seen) == {SLOW_PLACES[files.__file__]}
    assert Look.now().factor == 1
