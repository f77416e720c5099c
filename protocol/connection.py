"""The connection file: where the server listens, and the keys that let a client in."""

import json
import re
import socket
from pathlib import Path

import msgspec
import zmq

from .files import write_bytes
from .folders import data_folder
from .values import PROTOCOL_VERSION

Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
"""The digits of a CURVE key, five for four bytes (ZeroMQ RFC 32)."""
KEY_LENGTH = 40
ENDPOINT_PATTERN = re.compile(r"tcp://(?P<host>\[[0-9a-fA-F:%.]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})")


LAST_PORT = 65535
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
ALREADY_RUNS = 3
"""The server's exit code where another one runs with the same connection file."""


class BadConnectionFile(ValueError):
    """A connection file that cannot be used; the text says which and why."""


class NoConnectionFile(BadConnectionFile):
    """There is no such file."""


class Connection(
    msgspec.Struct, frozen=True, kw_only=True, rename={"protocol_version": "protocol"}
):
    """All that a client needs to reach a server."""

    endpoint: str
    """ZeroMQ endpoint, such as "tcp://127.0.0.1:40123"."""
    server_public_key: str
    """CURVE key in Z85 that proves the server."""
    client_public_key: str
    client_secret_key: str
    """CURVE pair that lets a client in."""
    protocol_version: int = PROTOCOL_VERSION

    def __post_init__(self) -> None:
        for name in ("server_public_key", "client_public_key", "client_secret_key"):
            if not is_key(getattr(self, name)):
                raise ValueError(f"{name} is not a CURVE key of {KEY_LENGTH} characters")
        match = ENDPOINT_PATTERN.fullmatch(self.endpoint)
        if match is None or not 0 < int(match["port"]) <= LAST_PORT:
            raise ValueError(f"endpoint {self.endpoint!r} is not of the form tcp://HOST:PORT")

    @property
    def host(self) -> str:
        """The endpoint's."""
        match = ENDPOINT_PATTERN.fullmatch(self.endpoint)
        assert match is not None  # as checked above
        return match["host"]

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine, for all that the endpoint tells."""
        return self.host in LOCAL_HOSTS


def is_key(text: str) -> bool:
    """Whether a text is a CURVE key in Z85, which ZeroMQ would not refuse."""
    if len(text) != KEY_LENGTH or not set(text) <= set(Z85):
        return False
    digits = [Z85.index(letter) for letter in text]
    groups = (digits[start : start + 5] for start in range(0, KEY_LENGTH, 5))
    return all(sum(digit * 85 ** (4 - n) for n, digit in enumerate(g)) < 2**32 for g in groups)


def reachable(bound: str, advertise: str | None) -> str:
    """The endpoint that clients should use for a socket bound at `bound`.

    Raises:
        ValueError: it is not a TCP endpoint.
    """
    match = ENDPOINT_PATTERN.fullmatch(bound)
    if match is None:
        raise ValueError(f"{bound} is not of the form tcp://HOST:PORT")
    host = match["host"]
    if advertise is not None:
        host = advertise
    elif host in ("0.0.0.0", "[::]"):
        host = socket.gethostname()
    return f"tcp://{host}:{match['port']}"


class ServerKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The server's own CURVE pair and the one client pair that it lets in (Z85)."""

    server_public_key: str
    server_secret_key: str
    client_public_key: str
    client_secret_key: str

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not is_key(getattr(self, name)):
                raise ValueError(f"{name} is not a CURVE key of {KEY_LENGTH} characters")

    def connection(self, endpoint: str) -> Connection:
        """What a client needs to reach a server that holds these keys at `endpoint`."""
        return Connection(
            endpoint=endpoint,
            server_public_key=self.server_public_key,
            client_public_key=self.client_public_key,
            client_secret_key=self.client_secret_key,
        )


def new_server_keys() -> ServerKeys:
    """Two fresh CURVE pairs."""
    server_public, server_secret = (key.decode() for key in zmq.curve_keypair())
    client_public, client_secret = (key.decode() for key in zmq.curve_keypair())
    return ServerKeys(
        server_public_key=server_public,
        server_secret_key=server_secret,
        client_public_key=client_public,
        client_secret_key=client_secret,
    )


def default_connection_file() -> Path:
    """Where a server writes its connection file and a client looks for it unless told otherwise."""
    return data_folder() / "connection.json"


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, and its folder where that is missing."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_bytes(path, content, private=True)


def write_connection(path: Path, connection: Connection) -> None:
    """Write a connection file, readable by its owner only.

    Raises:
        OSError: the folder cannot be made or written.
    """
    _write_private(path, msgspec.json.format(msgspec.json.encode(connection)) + b"\n")


def read_connection(path: Path) -> Connection:
    """Read a connection file.

    Raises:
        NoConnectionFile: it is missing.
        BadConnectionFile: it is unreadable, or not a connection file of this version.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise NoConnectionFile(
            f"There is no connection file {path}: start the backend, or copy its connection file "
            "here."
        ) from None
    except OSError as error:
        raise BadConnectionFile(f"{path} cannot be read: {error.strerror}.") from error
    return parse_connection(content, str(path))


def parse_connection(content: bytes, name: str) -> Connection:
    """Read the text of a connection file, which a sentence calls by `name`.

    Raises:
        BadConnectionFile: it is not a connection file of this version.
    """
    try:
        found = json.loads(content)  # in what Windows' own programs copy text as, too
        version = found["protocol"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadConnectionFile(
            f"{name} is not a connection file: copy it again from the machine of the backend."
        ) from error
    if version != PROTOCOL_VERSION:
        raise BadConnectionFile(
            f"{name} is for protocol {version}, this side speaks protocol {PROTOCOL_VERSION}: "
            "install the add-on and the backend of the same release."
        )
    try:
        return msgspec.convert(found, Connection)
    except msgspec.ValidationError as error:
        raise BadConnectionFile(f"{name} is not a usable connection file: {error}.") from error


def load_or_make_keys(path: Path, renew: bool = False) -> ServerKeys:
    """The server's keys, kept in `path` from one start to the next so that copied connection
    files go on working; fresh ones where there are none yet or `renew` asks for them.

    Raises:
        BadConnectionFile: the file is there but cannot be read.
        OSError: the file cannot be written.
    """
    if path.exists() and not renew:
        try:
            return msgspec.json.decode(path.read_bytes(), type=ServerKeys)
        except (OSError, msgspec.MsgspecError) as error:
            raise BadConnectionFile(
                f"The key file {path} cannot be used ({error}): start with --new-keys, and "
                "copy the new connection file to every client."
            ) from error
    keys = new_server_keys()
    _write_private(path, msgspec.json.encode(keys))
    return keys
