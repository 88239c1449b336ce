"""Silence pydicom's warnings and log lines, which quote the header and so may name a person."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

NO_DICM = "no DICM at byte 128: another kind of file, or DICOM without its preamble, which has to be exported again"
"""What an InvalidDicomError means for the user who has the file."""


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Suppress pydicom's log lines and all warnings within a with block."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
