"""Check compressed pixels before they are decoded: how they are compressed, and whether they are complete.

Decoders fill in missing data, and the result still looks like a breast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
)

from mammogan.data.dicom.unusable import Unusable

JPEG_2000 = b"\xff\x4f\xff\x51"
JPEG = b"\xff\xd8"
JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"
"""First bytes of a JPEG 2000 file: boxes, one of which holds the codestream. DICOM wants the codestream alone."""
TILE, SCAN, END = b"\xff\x90", 0xDA, b"\xff\xd9"
"""The markers before the coded pixels of JPEG 2000 and JPEG, and the one after them, which never occurs within."""
SEQUENTIAL, TWELVE_BIT, LOSSLESS, JPEG_LS = 0xC0, 0xC1, 0xC3, 0xF7
"""The start-of-frame markers of the kinds of JPEG that DICOM uses."""
LAST_COEFFICIENT = 63
HOLE = 2048
"""This many zero bytes in a row mean a lost block: the longest run in sound JPEG 2000 is 512, one constant block."""
SPARE_ZEROS = 4
"""An encoder may leave so many zero bytes between the coded pixels and the END of JPEG-LS."""


def compressed(header: Dataset) -> bytes:
    """Return the compressed pixels of the only frame, its fragments joined; empty when they are not compressed."""
    if not header["PixelData"].is_undefined_length:
        return b""
    content, at, items = header.PixelData, 0, []
    while at + 8 <= len(content) and content[at : at + 4] == b"\xfe\xff\x00\xe0":
        beyond = at + 8 + int.from_bytes(content[at + 4 : at + 8], "little")
        items.append(content[at + 8 : beyond])
        at = beyond
    return b"".join(items[1:])  # the first item is the table of offsets


def correct_syntax(header: Dataset, frame: bytes) -> bool:
    """Correct the transfer syntax of a stream that is compressed in another way; return whether it was corrected.

    With the declared syntax, decoders would show another image, or none.
    """
    possible = _syntaxes(frame)
    if not possible or header.file_meta.get("TransferSyntaxUID") in possible:
        return False
    header.file_meta.TransferSyntaxUID = possible[0]
    return True


def _syntaxes(frame: bytes) -> Sequence[UID]:
    """Return the transfer syntaxes under which a stream is decoded, the best one first; none for unknown streams."""
    if frame.startswith((JPEG_2000, JP2)):
        return JPEG2000TransferSyntaxes
    kind, precision = frame_kind(frame)
    if kind == JPEG_LS:
        return JPEGLSTransferSyntaxes
    if kind == LOSSLESS:
        return (JPEGLossless, JPEGLosslessSV1, JPEGExtended12Bit)
    if kind == TWELVE_BIT and precision > 8:
        return (JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
    return JPEGTransferSyntaxes if kind in (SEQUENTIAL, TWELVE_BIT) else ()


def frame_kind(frame: bytes) -> tuple[int, int]:
    """Return the start-of-frame marker of a JPEG stream and the bits per pixel; (0, 0) for anything else."""
    for marker, at, _ in _segments(frame):
        if marker in (SEQUENTIAL, TWELVE_BIT, LOSSLESS, JPEG_LS) and at < len(frame):
            return marker, frame[at]
    return 0, 0


def _segments(frame: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of the content of each segment of a JPEG stream, up to that before the pixels."""
    at = 2 if frame.startswith(JPEG) else len(frame)
    while frame[at : at + 1] == b"\xff" and at + 4 <= len(frame):
        marker, beyond = frame[at + 1], at + 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
        if marker == 0xFF:  # fill
            at += 1
            continue
        yield marker, at + 4, beyond
        if marker == SCAN:
            return
        at = beyond


def whole(frame: bytes) -> bytes:
    """Return a stream without what follows its end, such as text. Raises Unusable when it is not whole.

    That is a stream without its end, and JPEG 2000 in which a lost block was filled with zeros. A codestream in the
    boxes of a JPEG 2000 file is checked like a bare one.
    """
    bare = _in_box(frame) if frame.startswith(JP2) else frame
    if not bare.startswith((JPEG_2000, JPEG)):
        return frame
    begins = bare.find(TILE) if bare.startswith(JPEG_2000) else _pixels_begin(bare)
    end = bare.find(END, max(0, begins))
    if end < 0:
        raise Unusable("truncated", "the compressed pixels do not end with an end-of-image marker (FF D9)")
    if bare.startswith(JPEG_2000) and bytes(HOLE) in bare[:end]:
        raise Unusable("decode_failed", f"{HOLE} or more zero bytes in a row within the compressed pixels")
    return frame if bare is not frame or not frame[end + 2 :].rstrip(b"\0") else frame[: end + 2]


def _pixels_begin(frame: bytes) -> int:
    return next((beyond for marker, _, beyond in _segments(frame) if marker == SCAN), 0)


def _in_box(frame: bytes) -> bytes:
    """Return the codestream in a JPEG 2000 file; empty where its box has none."""
    at = 0
    while at + 8 <= len(frame):
        length, kind, head = int.from_bytes(frame[at : at + 4], "big"), frame[at + 4 : at + 8], 8
        if length == 1:
            length, head = int.from_bytes(frame[at + 8 : at + 16], "big"), 16
        end = at + length if length else len(frame)
        if kind == b"jp2c":
            return frame[at + head : end]
        at = max(end, at + head)
    raise Unusable("truncated", "a JPEG 2000 file without a codestream")


def repaired(frame: bytes) -> bytes:
    """Return a stream in which a known fault of encoders is repaired that no decoder accepts.

    Some write 0 as the last coefficient of a scan of sequential JPEG; it is always 63.
    """
    if frame_kind(frame)[0] not in (SEQUENTIAL, TWELVE_BIT):
        return frame
    beyond = _pixels_begin(frame)
    if beyond < 3 or frame[beyond - 3 : beyond - 1] != b"\0\0":
        return frame
    return frame[: beyond - 2] + bytes([LAST_COEFFICIENT]) + frame[beyond - 1 :]


def other_readings(frame: bytes) -> Iterator[bytes]:
    """Yield what a stream that its decoder refuses may have been meant to be.

    Encoders of JPEG-LS may leave zero bytes before the END, which CharLS refuses; without them it checks the pixels as
    usual.
    """
    end = frame.rstrip(b"\0").removesuffix(END) if frame_kind(frame)[0] == JPEG_LS else b""
    for number in range(1, SPARE_ZEROS + 1):
        if end.endswith(bytes(number)):
            yield end[:-number] + END
