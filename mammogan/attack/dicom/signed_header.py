"""What of a DICOM header is signed with the words on how the file was made: that which decides how its pixels are read.

Archives may change the rest, such as names and identifiers, and do.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

HEADER = "; header "
"""What stands before the signed attributes in the words."""
SIGNED = (
    *("ImageLaterality", "ViewPosition", "PatientOrientation"),
    *("PhotometricInterpretation", "PresentationLUTShape", "ImageType"),
)


def words_with_header(words: str, header: Dataset) -> str:
    """Return the words on how a file was made, followed by its attributes that are signed with them."""
    return f"{words}{HEADER}{', '.join(_parts(header))}"


def changed_in_header(words: str, header: Dataset) -> list[str]:
    """Return the signed attributes that are others now; none for the words of an earlier version, which have none."""
    _, found, parts = words.rpartition(HEADER)
    return [now.partition(" ")[0] for now in _parts(header) if found and now not in parts.split(", ")]


def _parts(header: Dataset) -> list[str]:
    """Return texts such as 'ImageLaterality L' and 'ImageType DERIVED/SECONDARY'."""
    values = {name: header.get(name) or "" for name in SIGNED}
    return [f"{name} {value if isinstance(value, str) else '/'.join(value)}" for name, value in values.items()]
