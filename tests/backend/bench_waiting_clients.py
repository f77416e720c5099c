"""How long other clients wait while one sends large views: a real server, one process that sends
4K views (66 MB each) without waiting for the answers, or with, and this one, which asks all day.

    python -m tests.backend.bench_waiting_clients [--views N] [--throttled]
"""

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
import psutil

from protocol.client import Client
from protocol.connection import Connection
from protocol.messages import CaptureState, Error, OpenCapture
from protocol.values import new_capture_id
from tests.backend.test_capture_server import ask, put
from tests.backend.test_server import running_server
from tests.backend.tiny_model import save_tiny_model

HEIGHT, WIDTH = 2160, 3840


def send_views(connection: Connection, views: int, throttled: bool) -> None:
    """Send a capture of so many views."""
    capture = new_capture_id()
    large = msgspec.structs.replace(
        put(capture, 0),
        image=np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8),
        alpha=np.full((HEIGHT, WIDTH), 255, np.uint8),
        depth=np.ones((HEIGHT, WIDTH), np.float32),
        fx=3000.0,
        fy=3000.0,
        cx=WIDTH / 2,
        cy=HEIGHT / 2,
    )
    with Client(connection, "the sender") as client:
        client.connect(30)
        ask(client, OpenCapture(capture=capture, views=views))
        came = 0
        for index in range(views):
            client.send(
                msgspec.structs.replace(
                    large,
                    index=index,
                    camera_to_world=put(capture, index % 5).camera_to_world,
                )
            )
            while throttled and came <= index:
                came += sum(map(_is_well, client.poll(300)))
        while came < views:
            came += sum(map(_is_well, client.poll(300)))


def _is_well(message: object) -> bool:
    assert not isinstance(message, Error), message
    return isinstance(message, CaptureState)


def measure(views: int, throttled: bool) -> dict[str, float]:
    """The figures of one upload."""
    with tempfile.TemporaryDirectory() as name:
        model = save_tiny_model(Path(name) / "model")
        data = Path(name) / "server"
        data.mkdir()
        with running_server(model, data, "--data-root", str(data / "data")) as (
            process,
            connection,
        ):
            server = psutil.Process(process.pid)
            with Client(connection, "who waits") as client:
                client.connect(30)
                capture = new_capture_id()
                ask(client, OpenCapture(capture=capture, views=5))
                sender = multiprocessing.get_context("spawn").Process(
                    target=send_views, args=(connection, views, throttled)
                )
                before = most = server.memory_info().rss
                began = time.perf_counter()
                sender.start()
                waits = []
                while sender.is_alive():
                    asked = time.perf_counter()
                    ask(client, OpenCapture(capture=capture, views=5))
                    waits.append(time.perf_counter() - asked)
                    most = max(most, server.memory_info().rss)
                    time.sleep(0.01)
                assert sender.exitcode == 0
                seconds = time.perf_counter() - began
    waits.sort()
    return {
        "views": views,
        "throttled": throttled,
        "seconds of the upload": round(seconds, 1),
        "questions": len(waits),
        "median wait ms": round(1000 * statistics.median(waits), 1),
        "99 % ms": round(1000 * waits[int(0.99 * len(waits))], 1),
        "worst wait ms": round(1000 * waits[-1], 1),
        "MB before": before // 10**6,
        "MB at most": most // 10**6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--views", type=int, default=16)
    parser.add_argument("--throttled", action="store_true")
    options = parser.parse_args()
    print(json.dumps(measure(options.views, options.throttled)))


if __name__ == "__main__":
    main()
