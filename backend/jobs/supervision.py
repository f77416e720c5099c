"""The server's side of the worker: its process, and the socket to it."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import zmq

from backend.jobs.worker_messages import KEYS_VARIABLE
from protocol import codec
from protocol.connection import new_server_keys
from protocol.messages import Cancel, Submit

logger = logging.getLogger("backend.server")

WORKER = "worker"
"""ZAP domain of the socket to the worker."""
STOP_SECONDS = 10
"""That the worker has to write its checkpoint when the server is stopped."""
ROOT = Path(__file__).parents[2]


class AllowedKey:
    """Lets in whoever holds one key."""

    def __init__(self, public_key: str) -> None:
        self._public_key = public_key.encode()

    def callback(self, domain: str, key: bytes) -> bool:
        """What the ZAP authenticator asks for every client."""
        if key != self._public_key:
            logger.warning("refused a client with a wrong key")
        return key == self._public_key


class Worker:
    """The worker process and the encrypted loopback socket to it."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        model: str,
        device: str,
        dtype: str,
        data_root: Path,
    ) -> None:
        keys = new_server_keys()
        self.allowed = AllowedKey(keys.client_public_key)
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.zap_domain = WORKER.encode()
        self.socket.curve_server = True
        self.socket.curve_secretkey = keys.server_secret_key.encode()
        port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        arguments = [f"tcp://127.0.0.1:{port}", model, device, dtype, f"{data_root}"]
        secrets = (keys.server_public_key, keys.client_public_key, keys.client_secret_key)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "backend.jobs.worker", *arguments],
            cwd=ROOT,
            env=os.environ | {KEYS_VARIABLE: " ".join(secrets)},
            stdin=subprocess.PIPE,
        )

    def send(self, message: Submit | Cancel) -> None:
        """Hand the process a job, or stop the one that it does."""
        self.socket.send_multipart(codec.encode(message), copy=False)

    def stop(self) -> None:
        """End the process, first kindly."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.socket.close()
