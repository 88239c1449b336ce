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
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
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


PLUGINS: dict[UID, tuple[str, ...]] = {
    **dict.fromkeys(JPEGLSTransferSyntaxes, ("pyjpegls",)),
    JPEGBaseline8Bit: ("pillow",),
    JPEGExtended12Bit: ("pylibjpeg", "pillow"),
    **dict.fromkeys((JPEGLossless, JPEGLosslessSV1), ("pylibjpeg", "gdcm")),
    **dict.fromkeys((RLELossless, *JPEG2000TransferSyntaxes), ("pylibjpeg",)),
}
"""Names of pydicom's plugins that decode a syntax exactly; the first one that is installed decodes all of its files."""
GPL = "pylibjpeg-libjpeg"
"""The only package here that is under the GPL, and therefore an extra: see docs/licences.md."""
EXTRA = "pip install 'mammogan[jpeg]'"
PACKAGES = {"gdcm": "python-gdcm"}
"""Packages whose name is another than pydicom's."""


def only_decoder(syntax: UID) -> str:
    """Return the name of the pydicom plugin that decodes a syntax here; empty for uncompressed and unknown syntaxes."""
    plugins = PLUGINS.get(syntax, ("",))
    installed = get_decoder(syntax).available_plugins if plugins[0] else ()
    return next((plugin for plugin in plugins if plugin in installed), plugins[0])


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
        return Decoding(False, mend=_mend(plugin, syntax))
    only = " (8 bits only)" if (plugin, syntax) == ("pillow", JPEGExtended12Bit) else ""
    return Decoding(True, f"{_package(plugin, syntax)}{only}")


def _mend(plugin: str, syntax: UID) -> str:
    packages = _packages(plugin, syntax)
    if GPL not in packages:
        return f"pip install {' '.join(packages)}"
    other = ", or pip install python-gdcm" if "gdcm" in PLUGINS[syntax] else ""
    return f"{EXTRA} ({GPL}, GPL-3.0){other}"


def _packages(plugin: str, syntax: UID) -> list[str]:
    """List the packages that a plugin needs for a syntax; the last one is the decoder itself."""
    module = import_module(f"pydicom.pixels.decoders.{plugin}")
    names = [re.split(r"[<>=!~ ]", needed)[0] for needed in module.DECODER_DEPENDENCIES[syntax]]
    return [PACKAGES.get(name, name) for name in names]


def _package(plugin: str, syntax: UID) -> str:
    name = _packages(plugin, syntax)[-1]
    return f"{name} {metadata.version(name)}"
