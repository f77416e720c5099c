"""Sentences in the panel."""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import msgspec
import pytest
from fake_server import FakeServer

TEXT = "The backend at tcp://127.0.0.1:40123 refuses this key: copy its connection file again."


@pytest.mark.parametrize("width", [1, 5, 12, 30, 200])
def test_no_line_is_wider_than_the_panel_and_no_letter_is_lost(
    addon: SimpleNamespace, width: int
) -> None:
    lines = addon.words.wrap(TEXT, width, len)
    assert max(map(len, lines)) <= width
    assert "".join(lines).replace(" ", "") == TEXT.replace(" ", "")
    if width >= 30:
        assert " ".join(lines) == TEXT


def test_nothing_gives_no_lines(addon: SimpleNamespace) -> None:
    assert addon.words.wrap("  ", 10, len) == []


def test_the_connection_in_words(addon: SimpleNamespace, installed: str) -> None:
    messages = importlib.import_module(f"{installed}.protocol.messages")
    link, words = addon.worker_thread, addon.words

    def welcome(model: str, state: str, notice: str = "") -> str:
        return words.status(
            link.LinkStatus(
                link.LinkState.CONNECTED,
                welcome=messages.Welcome(
                    server="1",
                    model=model,
                    device="cpu",
                    model_state=state,
                    native_size=0,
                    guidance=messages.GuidanceSettings(),
                    capabilities=(),
                    limits=messages.Limits(max_frame_bytes=1, max_queued_jobs=1),
                    notice=notice,
                ),
            )
        )

    assert welcome("demo", "loading") == "Connected; loading the demo model..."
    assert welcome("demo", "loading", "The worker is started anew.") == (
        "The worker is started anew."
    )
    assert welcome("some/model", "ready") == "Ready: some/model on cpu"
    assert welcome("/home/me/models/mine/", "ready") == "Ready: mine on cpu"
    assert welcome(r"C:\models\mine", "ready") == "Ready: mine on cpu"
    assert words.status(link.LinkStatus(link.LinkState.CLOSED)) == "Not connected"
    assert words.memory(None) == ""
    assert words.status(link.LinkStatus(link.LinkState.FAILED, "why")) == "why"


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("cpu", "Memory used: 1.5 of 16.0 GiB"),
        ("cuda (NVIDIA RTX 4090)", "GPU memory used: 1.5 of 16.0 GiB"),
    ],
)
def test_memory_in_words(
    addon: SimpleNamespace, protocol: ModuleType, connection_file: Path, device: str, said: str
) -> None:
    welcome = FakeServer(protocol, connection_file)._welcome()
    assert addon.words.memory(welcome) == ""
    memory = protocol.messages.Memory(peak_bytes=3 * 2**29, total_bytes=2**34)
    welcome = msgspec.structs.replace(welcome, device=device, memory=memory)
    assert addon.words.memory(welcome) == said
