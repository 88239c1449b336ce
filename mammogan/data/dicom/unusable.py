"""The exception for a file that cannot become a mammogram."""

from __future__ import annotations


class Unusable(Exception):
    """Raised for a file that cannot become a mammogram: ``code`` may be published, ``detail`` may quote the file."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code, self.detail = code, detail
