"""Choose the decoder for each transfer syntax: the fastest exact one that pydicom offers.

A stream that this decoder refuses is damaged. Another decoder might accept it: libjpeg, for example, turns a JPEG-LS
stream that CharLS refuses into noise.
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
    """Whether this machine can decode files of one transfer syntax.

    ``by``: the package that decodes them and its version, empty when they are not compressed. ``mend``: what to do when
    they cannot be decoded.
    """

    possible: bool
    by: str = ""
    mend: str = ""


def only_decoder(syntax: UID) -> str:
    """Return the name of the pydicom plugin that decodes a syntax; empty for uncompressed and for unknown syntaxes."""
    if syntax in JPEGLSTransferSyntaxes:
        return "pyjpegls"
    if syntax == JPEGBaseline8Bit:
        return "pillow"
    return "pylibjpeg" if syntax in (RLELossless, *JPEGTransferSyntaxes, *JPEG2000TransferSyntaxes) else ""


def is_standard(syntax: str) -> bool:
    """Return whether a UID has the form of the standard's UIDs.

    Any other may be arbitrary text, which pydicom would quote in a warning.
    """
    return re.fullmatch(r"1\.2\.840\.10008(\.\d+)+", syntax) is not None


def decoding_of(uid: str) -> Decoding:
    """Find out whether this machine can decode pixels of a transfer syntax, and with which package."""
    try:
        if not is_standard(uid):
            raise NotImplementedError
        syntax = UID(uid)
        decoder = get_decoder(syntax)
    except NotImplementedError:
        return Decoding(False, mend="there is no decoder for it; have another program store them uncompressed")
    plugin = only_decoder(syntax)
    if not plugin:
        return Decoding(True)  # uncompressed pixels
    if plugin not in decoder.available_plugins:
        return Decoding(False, mend=f"pip install {' '.join(_packages(plugin, syntax))}")
    return Decoding(True, _package(plugin, syntax))


def _packages(plugin: str, syntax: UID) -> list[str]:
    """List the packages that a plugin needs for a syntax; the last one is the decoder itself."""
    module = import_module(f"pydicom.pixels.decoders.{plugin}")
    return [re.split(r"[<>=!~ ]", needed)[0] for needed in module.DECODER_DEPENDENCIES[syntax]]


def _package(plugin: str, syntax: UID) -> str:
    name = _packages(plugin, syntax)[-1]
    return f"{name} {metadata.version(name)}"
