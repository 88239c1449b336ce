"""Check compressed pixels before they are decoded: how they are compressed, and whether they are complete.

Decoders fill in missing data, and the result still looks like a breast.
"""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes

from mammogan.data.dicom.unusable import Unusable

JPEG_2000 = b"\xff\x4f\xff\x51"
STARTS = {JPEG_2000: JPEG2000TransferSyntaxes, b"\xff\xd8\xff\xf7": JPEGLSTransferSyntaxes}
"""First bytes of a compressed stream, each with the transfer syntaxes that may be declared for it."""
ENDED = (JPEG_2000, b"\xff\xd8")
"""First bytes of streams that must end with END: JPEG 2000 (High-Throughput too), and every JPEG, JPEG-LS included."""
END = b"\xff\xd9"
"""The end-of-image marker. It never occurs within coded pixels."""
PADDING = 16
"""END must lie within the last 16 bytes, zeros at the end not counted; bytes after it are no sign of damage."""
HOLE = 2048
"""This many zero bytes in a row mean a lost block: the longest run in sound JPEG 2000 is 512, one constant block."""


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
    """Correct the transfer syntax of a stream that begins like another compression; return whether it was corrected.

    With the declared syntax, decoders would show another image.
    """
    for start, syntaxes in STARTS.items():
        if frame.startswith(start) and header.file_meta.get("TransferSyntaxUID") not in syntaxes:
            header.file_meta.TransferSyntaxUID = syntaxes[0]
            return True
    return False


def refuse_incomplete(frame: bytes) -> None:
    """Raise Unusable for a stream without its end, and for JPEG 2000 in which a lost block was filled with zeros."""
    if frame.startswith(ENDED) and END not in frame.rstrip(b"\0")[-PADDING:]:
        raise Unusable("truncated", "the compressed pixels do not end with an end-of-image marker (FF D9)")
    if frame.startswith(JPEG_2000) and bytes(HOLE) in frame.rstrip(b"\0"):
        raise Unusable("decode_failed", f"{HOLE} or more zero bytes in a row within the compressed pixels")
