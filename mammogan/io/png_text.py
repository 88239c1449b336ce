"""Text chunks of PNG files: words that travel with a picture and change none of its pixels."""

from __future__ import annotations

from collections.abc import Mapping

from PIL.PngImagePlugin import PngInfo

SYNTHETIC = "SYNTHETIC - NOT FOR CLINICAL USE"
"""What is written wherever an adversarial mammogram is shown."""
NOTICE = "synthetic: altered by MammoGAN, not a clinical image"
"""What a file with adversarial mammograms says of itself."""
DESCRIPTION = "Description"
"""The keyword that picture viewers show."""


def png_text(texts: Mapping[str, str]) -> PngInfo:
    """Return these texts, by keyword, for Pillow's ``save(pnginfo=...)``."""
    info = PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    return info
