"""Operators in an overridden context, while the link's thread runs Python."""

import importlib
import threading
import time
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import bpy
import pytest
from driving import SECONDS, preview
from fake_server import FakeServer


@pytest.fixture
def stillness(installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.link.stillness")


@pytest.fixture
def counting(stillness: ModuleType) -> Iterator[list[int]]:
    """A thread that comes by after each piece of its work; how many it has done."""
    done, ended = [0], threading.Event()

    def work() -> None:
        with stillness.coming_by():
            while not ended.is_set():
                done[0] += 1
                stillness.come_by()

    thread = threading.Thread(target=work)
    thread.start()
    yield done
    ended.set()
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_a_thread_stands_still_and_goes_on(
    stillness: ModuleType, counting: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stillness, "NEEDED", True)
    for _ in range(20):
        with stillness.still():
            before = counting[0]
            time.sleep(0.005)
            with stillness.still():  # an operator of ours that is called in one
                assert counting[0] == before
        deadline = time.monotonic() + SECONDS
        while counting[0] == before and time.monotonic() < deadline:
            time.sleep(0.005)
        assert counting[0] > before


def test_a_thread_that_goes_on_does_not_count_as_standing(
    stillness: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be held up by the machine when it has given the gate back."""
    inner = stillness._stillness
    standing: list[bool] = []

    class Gate:
        """A lock that notes whether the thread counts as standing when it gives the lock back."""

        def __init__(self) -> None:
            self._lock = threading.Lock()
            self.acquire = self._lock.acquire

        def release(self) -> None:
            if threading.current_thread() is not threading.main_thread():
                standing.append(threading.get_ident() in inner.standing)
            self._lock.release()

        def __enter__(self) -> None:
            self._lock.acquire()

        def __exit__(self, *_: object) -> None:
            self.release()

    monkeypatch.setattr(stillness, "NEEDED", True)
    monkeypatch.setattr(inner, "gate", Gate())
    ended = threading.Event()

    def work() -> None:
        with stillness.coming_by():
            while not ended.is_set():
                stillness.come_by()

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(5):
        with stillness.still():
            time.sleep(0.002)
        time.sleep(0.005)
    ended.set()
    thread.join(SECONDS)
    assert standing
    assert not any(standing)


def test_a_thread_that_does_not_come_by_is_not_waited_for_for_ever(
    stillness: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stillness, "NEEDED", True)
    monkeypatch.setattr(stillness, "PATIENCE", 0.05)
    ended = threading.Event()

    def work() -> None:
        with stillness.coming_by():
            ended.wait(SECONDS)

    thread = threading.Thread(target=work)
    thread.start()
    began = time.monotonic()
    with stillness.still():
        assert time.monotonic() - began < 1
    ended.set()
    thread.join(SECONDS)


def test_calls_that_threads_make_have_ended(
    installed: str, stillness: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stillness, "NEEDED", True)
    monkeypatch.setattr(stillness, "PATIENCE", 0.05)  # the link's thread is another matter
    for seconds in (0.0, 0.3):
        call = importlib.import_module(f"{installed}.link.aside").Aside(lambda: time.sleep(seconds))  # noqa: B023
        call.begin()
        with stillness.still():
            assert call.done


def test_the_link_goes_on_after_it_was_held(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    stillness: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stillness, "NEEDED", True)
    with stillness.still():
        time.sleep(0.2)
    preview(connected, scene)
    assert scene.watch_your_steps.relevance_image is not None


def test_operators_in_an_overridden_context_beside_a_busy_link(
    installed: str,
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Blender 4.5 and 5.0 crashed here, within some hundred calls."""
    overriding = importlib.import_module(f"{installed}.data.overriding")
    monkeypatch.setattr(connected.worker_thread, "POLL_SECONDS", 0.0)  # it runs all the time
    other = bpy.data.scenes.new("other")
    other.camera, other.render.engine = scene.camera, "BLENDER_WORKBENCH"
    other.render.resolution_x = other.render.resolution_y = 8
    time.sleep(0.1)
    with server.paused():
        for _ in range(300):
            with overriding.overridden(scene=other):
                bpy.ops.render.render()
                assert bpy.context.scene == other
    preview(connected, scene)
    assert scene.watch_your_steps.relevance_image is not None


def test_what_is_there_anyway_is_not_overridden(
    installed: str, scene: bpy.types.Scene, stillness: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    overriding = importlib.import_module(f"{installed}.data.overriding")
    monkeypatch.setattr(overriding, "still", None)  # would raise
    with overriding.overridden(scene=scene):
        assert bpy.context.scene == scene
    with overriding.overridden():
        assert bpy.context.scene == scene
