"""Many damaged messages, through both decoders and to a real server: nothing may escape, end, or
grow without bound.

    python -m tests.protocol.bench_mutated_messages [--decoded N] [--sent N]
"""

import argparse
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path

import psutil

from protocol import codec
from protocol.client import Client
from protocol.messages import Error, GetScene
from protocol.values import new_capture_id
from tests.protocol.mutated_messages import FROM_CLIENTS, FROM_SERVERS, decode_one, mutated


def decode_many(count: int, seed: int = 0) -> dict[str, float]:
    """Through both decoders, half each: how many could be read, and by how many MB this process
    grew meanwhile, at most.
    """
    read = 0
    process = psutil.Process()
    before = most = process.memory_info().rss
    began = time.perf_counter()
    for sources, decode in (
        (FROM_CLIENTS, codec.decode_client_message),
        (FROM_SERVERS, codec.decode_server_message),
    ):
        for frames in itertools.islice(mutated(sources, seed), count // 2):
            read += decode_one(decode, frames)
            most = max(most, process.memory_info().rss)
    return {
        "messages": count,
        "read all the same": read,
        "seconds": round(time.perf_counter() - began, 1),
        "MB more at most": round((most - before) / 1e6, 1),
    }


def send_many(client: Client, server: int, count: int, seed: int = 1) -> dict[str, float]:
    """Over a connection that is open to the server of a process id: what was answered, and how
    large the process was before, at most, and afterwards, in MB.
    """
    process = psutil.Process(server)
    sizes = [process.memory_info().rss]
    answers = {"errors": 0, "other answers": 0}
    began = time.perf_counter()
    for number, frames in enumerate(itertools.islice(mutated(FROM_CLIENTS, seed), count), 1):
        client._socket.send_multipart(frames or [b""])
        if number % 50 == 0:  # not more at a time than the sockets hold
            _take(client, answers)
            sizes.append(process.memory_info().rss)
    _take(client, answers)
    assert process.is_running()
    assert process.status() != psutil.STATUS_ZOMBIE
    sizes.append(process.memory_info().rss)
    return {
        "messages": count,
        **answers,
        "seconds": round(time.perf_counter() - began, 1),
        "MB before": sizes[0] // 10**6,
        "MB at most": max(sizes) // 10**6,
        "MB after": sizes[-1] // 10**6,
    }


def _take(client: Client, answers: dict[str, int]) -> None:
    """What has been answered, once a question that is asked last has been."""
    asked = new_capture_id()
    client.send(GetScene(capture=asked))
    deadline = time.monotonic() + 120
    while True:
        assert time.monotonic() < deadline, "the server does not answer any more"
        for message in client.poll(1):
            if codec.about(message) == asked:
                return
            answers["errors" if isinstance(message, Error) else "other answers"] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decoded", type=int, default=200_000)
    parser.add_argument("--sent", type=int, default=20_000)
    options = parser.parse_args()
    from tests.backend.test_server import running_server
    from tests.backend.tiny_model import save_tiny_model

    print(json.dumps(decode_many(options.decoded)))
    with tempfile.TemporaryDirectory() as name:
        model = save_tiny_model(Path(name) / "model")
        place = Path(name) / "server"
        place.mkdir()
        data = ("--data-root", str(place / "data"))
        with running_server(model, place, *data) as (process, connection):
            with Client(connection, "the bench") as client:
                client.connect(10)
                print(json.dumps(send_many(client, process.pid, options.sent)))
            assert process.poll() is None
        print("".join(process.lines[-3:]), file=sys.stderr)


if __name__ == "__main__":
    main()
