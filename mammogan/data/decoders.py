"""Which decoder takes which transfer syntax here: pydicom is asked, the fastest of those that are exact is taken.

What it refuses is damaged: libjpeg, for one, makes noise of a JPEG-LS stream that CharLS refuses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module, metadata

from pydicom.pixels import get_decoder
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)


@dataclass(frozen=True)
class Decoding:
    """Whether files of one transfer syntax can be decoded; ``by`` which package and version, empty if not compressed.

    ``mend`` says what to do where they cannot.
    """

    possible: bool
    by: str = ""
    mend: str = ""


def only_decoder(syntax: UID) -> str:
    """The plugin of pydicom's that decodes a syntax; empty where nothing is compressed, or by nothing known here."""
    if syntax in JPEGLSTransferSyntaxes:
        return "pyjpegls"
    if syntax == JPEGBaseline8Bit:
        return "pillow"
    return "pylibjpeg" if syntax in (RLELossless, *JPEGTransferSyntaxes, *JPEG2000TransferSyntaxes) else ""


def is_standard(syntax: str) -> bool:
    """Whether it can be one of the standard's. Else it may be any text, which pydicom would quote in a warning."""
    return re.fullmatch(r"1\.2\.840\.10008(\.\d+)+", syntax) is not None


def decoding_of(uid: str) -> Decoding:
    """What this machine can do with pixels of a transfer syntax."""
    try:
        if not is_standard(uid):
            raise NotImplementedError
        syntax = UID(uid)
        decoder = get_decoder(syntax)
    except NotImplementedError:
        return Decoding(False, mend="there is no decoder for it; have another program store them uncompressed")
    plugin = only_decoder(syntax)
    if not plugin:
        return Decoding(True)  # not compressed
    if plugin not in decoder.available_plugins:
        return Decoding(False, mend=f"pip install {' '.join(_packages(plugin, syntax))}")
    return Decoding(True, _package(plugin, syntax))


def _packages(plugin: str, syntax: UID) -> list[str]:
    """The packages that a plugin needs for a syntax; the last one does the work."""
    module = import_module(f"pydicom.pixels.decoders.{plugin}")
    return [re.split(r"[<>=!~ ]", needed)[0] for needed in module.DECODER_DEPENDENCIES[syntax]]


def _package(plugin: str, syntax: UID) -> str:
    name = _packages(plugin, syntax)[-1]
    return f"{name} {metadata.version(name)}"
