"""Messages to ZeroMQ frames and back. Arrays travel as raw frames; there is no pickle.

Frame 0 names the protocol version, frame 1 is the struct as msgpack, the others are the arrays in
the order in which the struct refers to them (protocol/README.md).
"""

import math
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from .messages import ClientMessage, Error, ServerMessage
from .text import readable
from .values import MAX_FRAME_BYTES, PROTOCOL_VERSION, CaptureId, JobId

VERSION_PREFIX = b"wys/"
VERSION_FRAME = VERSION_PREFIX + str(PROTOCOL_VERSION).encode()
DTYPES = {
    "uint8": np.dtype("u1"),
    "bool": np.dtype("?"),
    "uint16": np.dtype("<u2"),
    "int32": np.dtype("<i4"),
    "float32": np.dtype("<f4"),
    "float64": np.dtype("<f8"),
}
MAX_HEADER_BYTES = 256 * 1024
MAX_ARRAYS = 16
MAX_DIMENSIONS = 4
NOT_FINITE = "an array holds values that are not finite numbers"
UNREADABLE = (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError)
"""What reading a header can raise, whatever it holds: wrong types and values, texts that are not
UTF-8, numbers too large for numpy, nesting without end."""

Frame = bytes | memoryview
Message = TypeVar("Message")
Part = TypeVar("Part")


class BadMessage(ValueError):
    """Frames that are not a message of this protocol; the text says what is wrong with them, and
    quotes them so briefly that it can be sent itself.

    Attributes:
        about: id of the job, or of the capture, that the message is about, where that can be read.
    """

    def __init__(self, text: str, about: str | None = None) -> None:
        super().__init__(readable(text))
        self.about = about


class OtherVersion(BadMessage):
    """A message of another protocol version."""

    def __init__(self, theirs: str, about: str | None = None) -> None:
        super().__init__(
            f"one side speaks protocol {PROTOCOL_VERSION} and the other protocol {theirs}; "
            "install the add-on and the backend of the same release",
            about,
        )


class _About(msgspec.Struct):
    """What can be read of a message that is refused: which job or capture it is about."""

    job: JobId | None = None
    capture: CaptureId | None = None


class _ArrayRef(msgspec.Struct):
    """An array inside a header: what its raw frame holds, and which frame it is."""

    dtype: str
    shape: list[int]
    frame: int


def encode(message: msgspec.Struct) -> list[Frame]:
    """Turn any struct of messages.py into frames. Array frames share the arrays' memory.

    Raises:
        BadMessage: an array's dtype is not allowed or it holds numbers that are not finite, a text
            is not Unicode, a number has more than 64 bits, or the message is over a limit.
    """
    arrays: list[Frame] = []

    def array_to_reference(value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            raise NotImplementedError(f"{type(value).__name__} cannot be sent")
        if value.dtype.name not in DTYPES:
            raise BadMessage(f"arrays of dtype {value.dtype} cannot be sent")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise BadMessage(NOT_FINITE)
        little_endian = np.ascontiguousarray(value, DTYPES[value.dtype.name])
        arrays.append(little_endian.reshape(-1).view(np.uint8).data)
        return _ArrayRef(value.dtype.name, list(value.shape), len(arrays) - 1)

    try:
        header = msgspec.msgpack.encode(message, enc_hook=array_to_reference)
    except UnicodeEncodeError as error:
        raise BadMessage("a text in the message is not Unicode") from error
    except OverflowError as error:
        raise BadMessage(f"a number in the message has more than 64 bits: {error}") from error
    if len(header) > MAX_HEADER_BYTES:
        raise BadMessage(f"the header has {len(header)} bytes, more than {MAX_HEADER_BYTES}")
    if len(arrays) > MAX_ARRAYS:
        raise BadMessage(f"the message has {len(arrays)} arrays, more than {MAX_ARRAYS}")
    for array in arrays:
        if len(array) > MAX_FRAME_BYTES:
            raise BadMessage(f"an array has {len(array)} bytes, more than {MAX_FRAME_BYTES}")
    return [VERSION_FRAME, header, *arrays]


def array_bytes(message: msgspec.Struct) -> int:
    """How many bytes the arrays of a struct of messages.py hold."""
    total = 0

    def count(value: Any) -> None:
        nonlocal total
        total += value.nbytes

    msgspec.msgpack.encode(message, enc_hook=count)
    return total


def about(message: ClientMessage | ServerMessage) -> str | None:
    """Id of the job or the capture that a message is about, where it is about one."""
    name: str | None = getattr(message, "job", None) or getattr(message, "capture", None)
    return name


class Decoder(Generic[Message]):
    """Frames to one of the structs of a union."""

    def __init__(self, union: Any) -> None:
        self._union = union

    def __call__(self, frames: Sequence[Frame]) -> Message:
        """Turn frames into a checked message. Arrays are read-only views of their frames.

        Raises:
            OtherVersion: the version frame names another protocol version.
            BadMessage: anything else that is not a valid message.
        """
        version, header, arrays = _split(frames)
        if version != VERSION_FRAME:
            error = _decode_only(header, Error)
            if error is not None and self._union == ServerMessage:
                return error  # type: ignore[return-value]  # Error is a member of the union
            theirs = version.removeprefix(VERSION_PREFIX).decode("ascii", "replace")
            raise OtherVersion(theirs, _about(header))
        unused = set(range(len(arrays)))

        def reference_to_array(expected: type, value: Any) -> Any:
            reference = msgspec.convert(value, _ArrayRef)
            if reference.frame not in unused:
                raise ValueError(f"array frame {reference.frame} is missing or used twice")
            unused.remove(reference.frame)
            return _read_array(reference, arrays[reference.frame])

        try:
            message: Message = msgspec.msgpack.decode(
                header, type=self._union, dec_hook=reference_to_array
            )
        except UnicodeDecodeError as error:
            raise BadMessage("a text in the message is not UTF-8", _about(header)) from error
        except UNREADABLE as error:
            raise BadMessage(f"the message cannot be read: {error}", _about(header)) from error
        if unused:
            text = f"{len(unused)} array frame(s) belong to nothing in the message"
            raise BadMessage(text, _about(header))
        return message


def _split(frames: Sequence[Frame]) -> tuple[bytes, Frame, Sequence[Frame]]:
    """Version, header and arrays of a message whose sizes are within the limits."""
    if len(frames) < 2 or len(frames[0]) > 16 or bytes(frames[0][:4]) != VERSION_PREFIX:
        raise BadMessage("these frames are not a message of this protocol")
    if len(frames[1]) > MAX_HEADER_BYTES:
        raise BadMessage(f"the header has {len(frames[1])} bytes, more than {MAX_HEADER_BYTES}")
    if len(frames) - 2 > MAX_ARRAYS:
        raise BadMessage(f"the message has {len(frames) - 2} arrays, more than {MAX_ARRAYS}")
    return bytes(frames[0]), frames[1], frames[2:]


def _decode_only(header: Frame, kind: type[Part]) -> Part | None:
    """The struct of one kind in a header of any protocol version, or None where it is not there."""
    try:
        return msgspec.msgpack.decode(header, type=kind)
    except UNREADABLE:
        return None


def _about(header: Frame) -> str | None:
    """Id of the job or the capture that the message of this header is about, where it has one."""
    found = _decode_only(header, _About)
    return None if found is None else found.job or found.capture


def _read_array(reference: _ArrayRef, frame: Frame) -> NDArray[np.generic]:
    if reference.dtype not in DTYPES:
        raise ValueError(f"dtype {readable(reference.dtype, 40)!r} is not allowed")
    dtype = DTYPES[reference.dtype]
    if len(reference.shape) > MAX_DIMENSIONS or any(n < 0 for n in reference.shape):
        raise ValueError(f"shape {readable(str(reference.shape), 80)} is not allowed")
    if len(frame) > MAX_FRAME_BYTES:
        raise ValueError(f"an array has {len(frame)} bytes, more than {MAX_FRAME_BYTES}")
    expected = math.prod(reference.shape) * dtype.itemsize
    if expected != len(frame):
        raise ValueError(
            f"a {reference.dtype} array of shape {reference.shape} has {expected} bytes, "
            f"its frame has {len(frame)}"
        )
    raw = np.frombuffer(frame, np.uint8)
    if dtype == np.bool_ and raw.size and raw.max() > 1:
        raise ValueError("a bool array may only hold the bytes 0 and 1")
    array = raw.view(dtype).reshape(reference.shape)
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(NOT_FINITE)
    return array


decode_client_message = Decoder[ClientMessage](ClientMessage)
"""Frames to a ClientMessage (used by the server)."""

decode_server_message = Decoder[ServerMessage](ServerMessage)
"""Frames to a ServerMessage (used by clients); an Error of any protocol version is read too."""
