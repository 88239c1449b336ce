"""What a label, a side or a view can rest on: the words a scan writes, and the only ones that get into a shard."""

from __future__ import annotations

SOURCES: dict[str, tuple[str, ...]] = {
    "label_source": ("biopsy", "pathology", "registry", "radiologist_birads", "screening", "presumed", "table"),
    "laterality_source": (
        *("table", "ImageLaterality", "FrameLaterality", "Laterality", "ViewPosition", "PatientOrientation"),
        "file_name",
    ),
    "view_source": (
        *("table", "ViewCodeSequence", "ViewPosition", "CodeMeaning", "AcquisitionDeviceProcessingDescription"),
        *("SeriesDescription", "ProtocolName", "file_name"),
    ),
}
"""By the column of the cohort table, which is also the key in a sample's JSON."""


def known_source(column: str, cell: str) -> str | None:
    """The cell if it is one of the column's words. Any other may say anything about anybody, and is not passed on."""
    return cell if cell in SOURCES[column] else None
