"""Connection files and keys."""

import os
import stat
import sys

import msgspec
import pytest

from protocol.connection import (
    BadConnectionFile,
    Connection,
    NoConnectionFile,
    load_or_make_keys,
    new_server_keys,
    read_connection,
    write_connection,
)


@pytest.fixture
def connection():
    return new_server_keys().connection("tcp://127.0.0.1:5577")


def test_written_file_reads_back_and_is_private(tmp_path, connection):
    path = tmp_path / "made" / "connection.json"
    write_connection(path, connection)
    assert read_connection(path) == connection
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["connection.json"]


def test_documented_fields(tmp_path, connection):
    path = tmp_path / "connection.json"
    write_connection(path, connection)
    fields = msgspec.json.decode(path.read_bytes())
    assert set(fields) == {
        "protocol",
        "endpoint",
        "server_public_key",
        "client_public_key",
        "client_secret_key",
    }


def test_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(NoConnectionFile, match="start the backend, or copy its connection file"):
        read_connection(tmp_path / "connection.json")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"\xff\xfe", b"nonsense", b'"text"', b"[" * 99_999]
)
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "connection.json"
    path.write_bytes(content)
    with pytest.raises(BadConnectionFile, match="not a connection file"):
        read_connection(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_copies_that_windows_programs_have_written_are_read(tmp_path, connection, encoding):
    path = tmp_path / "connection.json"
    write_connection(path, connection)
    path.write_text(path.read_text(), encoding=encoding)
    assert read_connection(path) == connection


def test_file_of_another_version_names_both(tmp_path, connection):
    path = tmp_path / "connection.json"
    write_connection(path, msgspec.structs.replace(connection, protocol_version=6))
    with pytest.raises(BadConnectionFile, match=r"protocol 6.*protocol 12"):
        read_connection(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("endpoint", "http://127.0.0.1:1"),
        ("endpoint", "tcp://127.0.0.1"),
        ("endpoint", "tcp://:1"),
        ("endpoint", "tcp://127.0.0.1:0"),
        ("endpoint", "tcp://127.0.0.1:99999"),
        ("server_public_key", "x" * 39 + "~"),  # no digit of Z85
        ("client_public_key", "#" * 40),  # five digits of more than four bytes
        ("server_public_key", "short"),
        ("client_secret_key", "x" * 39 + " "),
    ],
)
def test_unusable_values_are_refused(tmp_path, connection, field, value):
    path = tmp_path / "connection.json"
    write_connection(path, connection)
    fields = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode(fields | {field: value}))
    with pytest.raises(BadConnectionFile, match=field):
        read_connection(path)


def test_keys_are_kept_until_renewed(tmp_path):
    path = tmp_path / "keys.json"
    first = load_or_make_keys(path)
    assert load_or_make_keys(path) == first
    assert load_or_make_keys(path, renew=True) != first
    for content in (b"{", path.read_bytes().replace(b'key":"', b'key":"~', 1)):
        path.write_bytes(content)
        with pytest.raises(BadConnectionFile, match="start with --new-keys"):
            load_or_make_keys(path)
    path.write_text("broken")
    with pytest.raises(BadConnectionFile, match="--new-keys"):
        load_or_make_keys(path)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs file permissions")
def test_unreadable_file_says_so(tmp_path, connection):
    path = tmp_path / "connection.json"
    write_connection(path, connection)
    path.chmod(0)
    with pytest.raises(BadConnectionFile, match="cannot be read"):
        read_connection(path)


def test_connection_accepts_names_and_ipv6():
    keys = new_server_keys()
    for endpoint in ("tcp://gpu-box.local:5577", "tcp://[::1]:5577", "tcp://10.0.0.3:1"):
        assert isinstance(keys.connection(endpoint), Connection)
