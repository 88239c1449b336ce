"""The allowed sources of a label, a side or a view: mammogan scan writes these words, and shards hold no others."""

from __future__ import annotations

SOURCES: dict[str, tuple[str, ...]] = {
    "label_source": ("biopsy", "pathology", "registry", "radiologist_birads", "screening", "presumed", "table"),
    "laterality_source": (
        *("table", "ImageLaterality", "FrameLaterality", "Laterality", "ViewPosition", "PatientOrientation"),
        *("file_name", "folder_name"),
    ),
    "view_source": (
        *("table", "ViewCodeSequence", "ViewPosition", "CodeMeaning", "AcquisitionDeviceProcessingDescription"),
        *("SeriesDescription", "ProtocolName", "file_name", "folder_name"),
    ),
}
"""The allowed words for each column of the cohort table; the column is also the key in a sample's JSON."""


def known_source(column: str, cell: str) -> str | None:
    """Return the cell if it is one of the column's words, else None: any other text may contain personal data."""
    return cell if cell in SOURCES[column] else None
