"""Which decoder takes which transfer syntax here: pydicom is asked, the fastest exact one is preferred."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module, metadata

from pydicom.pixels import get_decoder
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, RLELossless

MODULES = {"pydicom": "rle"}
"""Of pydicom's decoding plugins, where the module is not called as the plugin."""


@dataclass(frozen=True)
class Decoding:
    """Whether files of one transfer syntax can be decoded; ``by`` which package and version, empty if by pydicom alone.

    ``mend`` says what to do where they cannot.
    """

    possible: bool
    by: str = ""
    mend: str = ""


def fastest_decoder(syntax: UID) -> str:
    """The plugin of pydicom's that is tried first; empty: pydicom's own order."""
    if syntax in JPEGLSTransferSyntaxes:
        return "pyjpegls"
    return "pylibjpeg" if syntax == RLELossless or syntax in JPEG2000TransferSyntaxes else ""


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
    plugins = decoder.available_plugins
    if plugins:
        preferred = fastest_decoder(syntax)
        return Decoding(True, _package(preferred if preferred in plugins else plugins[0], syntax))
    if not decoder.is_available:
        return Decoding(False, mend=f"pip install {' '.join(_packages('pylibjpeg', syntax))}")
    return Decoding(True)  # not compressed


def _packages(plugin: str, syntax: UID) -> list[str]:
    """The packages that a plugin needs for a syntax; the last one does the work."""
    module = import_module(f"pydicom.pixels.decoders.{MODULES.get(plugin, plugin)}")
    return [re.split(r"[<>=!~ ]", needed)[0] for needed in module.DECODER_DEPENDENCIES[syntax]]


def _package(plugin: str, syntax: UID) -> str:
    name = (_packages(plugin, syntax) or ["pydicom"])[-1]
    return f"{name} {metadata.version(name)}"
