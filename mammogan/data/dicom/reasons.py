"""All reasons for which a file is left out: the code, what it means, and what to do; scan and conversion share them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """What a code means and, where something can be done, what to do; both are parts of a sentence."""

    meaning: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.meaning}; {self.remedy}" if self.remedy else self.meaning


PLAIN_ONLY = "only plain CC and MLO views are used"
COPY_AGAIN = "copy it again"
OF_THE_FILE = {
    "bits_contradict": Reason(
        "bits beyond the declared ones that are neither brightness nor an overlay, or the wrong sign"
    ),
    "bits_unsupported": Reason("more than 16 bits per pixel"),
    "blank": Reason("one brightness everywhere except padding"),
    "cad_or_sc": Reason("a CAD report or a secondary capture"),
    "colour": Reason("a colour image"),
    "damaged_header": Reason("the header cannot be read", COPY_AGAIN),
    "decode_failed": Reason("the pixels are damaged, or cannot be decoded here", "mammogan make-shards --doctor"),
    "decoder_crashed": Reason("reading it crashed the process"),
    "empty": Reason("an empty file", COPY_AGAIN),
    "for_processing": Reason("raw detector data", "use the FOR PRESENTATION image"),
    "grey_scale_ruined": Reason(
        "the breast is all white, all black, too dark or without contrast",
        "the header's window does not fit the pixels, or the sensor was saturated",
    ),
    "implant_displaced": Reason("the implant pushed back", PLAIN_ONLY),
    "multiframe": Reason("tomosynthesis or several frames", PLAIN_ONLY),
    "no_pixels": Reason("no pixels in the file, or lost in an incomplete copy"),
    "no_spacing": Reason("no size of a pixel, which --fit physical needs", "choose another --fit"),
    "not_dicom": Reason("not a DICOM file"),
    "not_mg": Reason("another modality than mammography"),
    "out_of_memory": Reason("memory ran out", "give fewer --jobs"),
    "pixels_lost": Reason("more than a third of the breast is missing: rectangles or strips of one value", COPY_AGAIN),
    "rotated": Reason("on its side, by PatientOrientation", "turn it upright"),
    "sop_class": Reason("another kind of DICOM object"),
    "spacing_implausible": Reason("pixels of less than 0.02 or more than 0.5 mm, which --fit physical cannot use"),
    "specimen": Reason("a specimen"),
    "spot_mag": Reason("a spot compression or magnification", PLAIN_ONLY),
    "synthetic2d": Reason("a view computed from tomosynthesis", PLAIN_ONLY),
    "timeout": Reason("not done within --file-seconds (in a scan: --seconds)", "is its disk slow or gone?"),
    "too_large": Reason("more than 100 million pixels, or a file of more than 1 GiB"),
    "too_small": Reason("less than 64 pixels high or wide"),
    "truncated": Reason("cut off before its end, as in an incomplete copy", COPY_AGAIN),
    "unexpected": Reason("an unexpected fault"),
    "unreadable": Reason("a file or folder that cannot be read", "are you allowed to read it, and is its disk there?"),
    "view_modifier": Reason("a modified view, such as rolled, tangential or of the axillary tail", PLAIN_ONLY),
}
"""Reasons in the file itself. The scan and the conversion judge a header alike (usable.py); only the conversion reads
the pixels."""
OF_COPIES = {
    "duplicate": Reason("same pixels as another row, which was kept"),
    "duplicate_conflict": Reason(
        "same pixels as a kept row of another patient: one of the two is wrong", "correct the table"
    ),
    "labels_conflict": Reason(
        "same pixels as a row with the other label: which one is wrong is not known, so neither is used",
        "correct the table",
    ),
}
OF_THE_TABLES = {
    "bad_name": Reason("a path that a table cannot hold: not UTF-8, or a space at its end", "rename the file"),
    "no_label": Reason("the tables do not mention the breast"),
    "no_laterality": Reason("neither table, header nor file name says which breast"),
    "no_patient": Reason("no patient in the tables: an empty cell, or a word that names nobody"),
    "no_view": Reason("neither table, header nor file name says which view"),
    "not_full_image": Reason("a cropped part or a lesion mask"),
    "not_listed": Reason("not in the archive's tables"),
    "packed": Reason("a packed file", "unpack it first"),
    "repeated_view": Reason("another image of the same exam, side and view was preferred", "--repeats all takes it"),
    "split_conflict": Reason("the patient is also in the official test part"),
    "table_conflict": Reason("the tables contradict each other about it"),
    "unknown_cell": Reason("a cell about her in the tables is not understood", "correct the cell"),
    "view_excluded": Reason("another view than CC and MLO"),
    "film": Reason("digitised film", "--allow-film takes it"),
}
"""Reasons in what an archive's tables say of a file, or in what the user chose; only a scan gives them."""
REASONS = {**OF_THE_FILE, **OF_COPIES, **OF_THE_TABLES}


def explained(code: str) -> str:
    """Return what a reason code means and what to do, for a report."""
    return str(REASONS[code]) if code in REASONS else "see the list"
