"""Judge by its header whether a DICOM file is a usable mammogram; the scan and the conversion use this one judge.

It imports nothing heavier than pydicom, because a scan runs it in many processes over many files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pydicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from mammogan.data.dicom.unusable import Unusable

STORAGE = "1.2.840.10008.5.1.4.1.1."
FOR_PRESENTATION, FOR_PROCESSING = f"{STORAGE}1.2", f"{STORAGE}1.2.1"
SECONDARY_CAPTURE = f"{STORAGE}7"
TOMOSYNTHESIS = f"{STORAGE}13.1."
MAMMOGRAPHY_CAD = f"{STORAGE}88.50"
IMAGES = {FOR_PRESENTATION, FOR_PROCESSING, f"{STORAGE}1", f"{STORAGE}1.1"}
"""SOP classes of usable images: digital mammography, and computed and digital radiography, which some devices use."""
MONOCHROME = ("MONOCHROME1", "MONOCHROME2", "")
SMALLEST_SIDE = 64
MOST_PIXELS = 100_000_000
"""Largest number of pixels; the largest detectors have 17 million, the finest film scans 40 million."""
MOST_BYTES = 1 << 30
"""Largest size of a file; MOST_PIXELS uncompressed pixels of 16 bits take a fifth of it."""
LARGEST_MAGNIFICATION = 1.1
MODIFIERS = {
    "399163009": "spot_mag", "R-102D6": "spot_mag",
    "399055006": "spot_mag", "R-102D7": "spot_mag",
    "399209000": "implant_displaced", "R-102D5": "implant_displaced",
}  # fmt: skip
"""Code of the reason for leaving an image out, by view modifier; every other modifier gives view_modifier."""
BEGIN, END = r"(?<![^\W\d_])", r"(?![^\W\d_])"
"""No letter before a word, and none after it: TOMO_2D has the word tomo, AUTOMODE has not."""
WORDS = (
    ("specimen", re.compile(rf"{BEGIN}specimens?", re.I)),
    ("synthetic2d", re.compile(rf"{BEGIN}[cs][ _-]?view{END}|generated[ _]2d|intelligent 2d|insight 2d", re.I)),
    ("spot_mag", re.compile(rf"{BEGIN}(spot|mag(nif\w+)?){END}", re.I)),
    ("view_modifier", re.compile(rf"({BEGIN}|(?<=mammo))stereo(tactic)?", re.I)),
    ("multiframe", re.compile(rf"({BEGIN}|(?<=3d|cc)|(?<=mlo)|(?<=mammo)|(?=tomos[yiíe]n))tomo(s\w*|gram)?", re.I)),
    ("cad_or_sc", re.compile(rf"{BEGIN}cad{END}", re.I)),
)
"""Words by which a text or a value of ImageType names an image that is no plain view, and the code of the reason."""
SPOT = r"(spot|spt|mag(nif\w+)?)"
ANY_KIND = rf"(specimens?|[cs][ _-]?view|{SPOT}|stereo\w*|tomo\w*|cad)"
NOT = rf"({BEGIN}(no|non|not|without|kein\w*|nicht|ohne|sans|pas de|sin|senza|sem|zonder|geen|utan|ingen|bez){END}|w/o)"
DENIED = re.compile(
    rf"{NOT}[\s:_-]*((an?|any|for){END}\s*)*{ANY_KIND}{END}"
    rf"(\s*(or|nor|and|oder|und){END}\s*((an?|any){END}\s*)?{ANY_KIND}{END}|[\s/,&+_-]+{SPOT}{END})*|"
    rf"{BEGIN}{ANY_KIND}[\s:=_-]*(none|off|disabled|inactive|removed|excluded|"
    rf"not (applied|used|available|performed|done|present)|no(?=\s*([,;)/]|$))){END}|"
    rf"{BEGIN}{ANY_KIND}\s*[:=]\s*(0|false|n){END}(?!\d)",
    re.I,
)
"""A text that says that the image is not of a kind: NO CAD, w/o tomo, STEREO OFF."""
NOTHING_CODED = re.compile(
    r"[-0x.]*|no(ne)?|null|nil|n/?a|anon(ym\w*)?|de-?identified|removed|empty|not applicable", re.I
)
"""What anonymisers and devices write as the code and the meaning of something that is not there."""
NO_MODIFIER = re.compile(rf"{NOTHING_CODED.pattern}|no(ne)? (view )?modifiers?|unmodified", re.I)
SPOT_PADDLE = re.compile(r"spot|spt|\bmag(nif\w+)?\b", re.I)
MAGNETIC = re.compile(r"\bmag[\s_-]*(latch|lock)\w*", re.I)
"""A latch that is magnetic, as the description of a paddle may name it."""
MOST_WORDS = 4
"""Names of paddles have fewer words of three or more letters: 10CM SPOT, Small Spot Compression Paddle."""
PLAIN_VIEW = re.compile(r"((L|R|LEFT|RIGHT)[ _-]*)?(CC|MLO)([ _-]+(L|R|LEFT|RIGHT))?", re.I)


def refuse_unusable(header: Dataset, size: int = 0) -> None:
    """Raise Unusable unless the header describes a single grey mammogram FOR PRESENTATION, a plain view.

    Only coded values decide, never a free text. ``size`` is the size of the file in bytes.
    """
    sop_class = text(header, "SOPClassUID")
    modality = text(header, "Modality") or "MG"
    if sop_class == MAMMOGRAPHY_CAD:
        raise Unusable("cad_or_sc", "a CAD report")
    if sop_class.startswith(TOMOSYNTHESIS) or number(header, "NumberOfFrames", 1) > 1:
        raise Unusable("multiframe", "tomosynthesis or several frames")
    if modality != "MG":
        raise Unusable("not_mg", f"Modality {modality}")
    if not _may_be_image(sop_class):
        raise Unusable("sop_class", sop_class)
    if _is_raw(header, sop_class):
        raise Unusable("for_processing", "raw detector data: export the FOR PRESENTATION image")
    _refuse_by_shape(header, size)
    _refuse_other_views(header)


def is_coded_as_plain(header: Dataset) -> bool:
    """Return whether SOP class, an ImageType and a view are there, which together say that the image is a plain view.

    They do so once ``refuse_unusable`` has found nothing unusual in them.
    """
    return (
        text(header, "SOPClassUID") in IMAGES
        and any(several(header, "ImageType"))
        and (bool(items(header, "ViewCodeSequence")) or bool(PLAIN_VIEW.fullmatch(text(header, "ViewPosition"))))
    )


def _may_be_image(sop_class: str) -> bool:
    """Return whether the SOP class allows an image. Unknown classes do: de-identification may replace or remove it."""
    known = sop_class.startswith(STORAGE)
    return not known or sop_class in IMAGES or is_secondary_capture(sop_class)


def is_secondary_capture(sop_class: str) -> bool:
    """Return whether the SOP class is secondary capture, as of digitised film, of one frame or of several."""
    return sop_class == SECONDARY_CAPTURE or sop_class.startswith(f"{SECONDARY_CAPTURE}.")


def _is_raw(header: Dataset, sop_class: str) -> bool:
    """Return whether the image is raw detector data, by PresentationIntentType or, if that is missing, SOP class."""
    intent = text(header, "PresentationIntentType")
    return intent == "FOR PROCESSING" if intent else sop_class == FOR_PROCESSING


def _refuse_by_shape(header: Dataset, size: int) -> None:
    photometric = text(header, "PhotometricInterpretation")
    if "Rows" not in header or "Columns" not in header:
        raise Unusable("no_pixels", "no height or width")
    if number(header, "SamplesPerPixel", 1) != 1 or photometric not in MONOCHROME:
        raise Unusable("colour", photometric)
    rows, columns = number(header, "Rows"), number(header, "Columns")
    if min(rows, columns) < SMALLEST_SIDE:
        raise Unusable("too_small", f"shape {(rows, columns)}")
    if rows * columns > MOST_PIXELS:
        raise Unusable("too_large", f"shape {(rows, columns)}, expected {MOST_PIXELS} pixels at most")
    if size > MOST_BYTES:
        raise Unusable("too_large", f"a file of {size} bytes, expected {MOST_BYTES} at most")


def _refuse_other_views(header: Dataset) -> None:
    """Raise Unusable if codes or the device's own values say that the image is no plain view of a complete breast."""
    for code in _modifiers(header):
        raise Unusable(MODIFIERS.get(code, "view_modifier"), f"view modifier {code}")
    paddle = text(header, "PaddleDescription")
    if paddle_is_of_spot(header) and not (_is_long(paddle) and is_coded_as_plain(header)):
        raise Unusable("spot_mag", f"paddle {paddle}")
    if (factor := _real(header, "EstimatedRadiographicMagnificationFactor")) > LARGEST_MAGNIFICATION:
        raise Unusable("spot_mag", f"magnified {factor:g} times")
    values = several(header, "ImageType")
    kind = " ".join(map(without_denials, values))  # of each value, because NONE after TOMO is another one
    for reason, words in WORDS:
        if words.search(kind):
            raise Unusable(reason, " ".join(values))


def without_denials(words: str) -> str:
    """Return a text without what it says that an image is not, such as NO CAD."""
    return DENIED.sub(" ", words)


def paddle_is_of_spot(header: Dataset) -> bool:
    """Return whether the paddle's description names a spot or a magnification, and does not deny it."""
    return bool(SPOT_PADDLE.search(MAGNETIC.sub(" ", without_denials(text(header, "PaddleDescription")))))


def _is_long(paddle: str) -> bool:
    """Return whether a paddle's description has more words than the name of one, so that it may say anything."""
    return len(re.findall(r"[^\W\d_]{3,}", paddle)) > MOST_WORDS


def _modifiers(header: Dataset) -> Iterator[str]:
    """Yield the codes of the view's modifiers, from the header itself or from the items of ViewCodeSequence."""
    for holder in (header, *items(header, "ViewCodeSequence")):
        for item in items(holder, "ViewModifierCodeSequence"):
            code, meaning = text(item, "CodeValue"), text(item, "CodeMeaning")
            if code and not (NOTHING_CODED.fullmatch(code) and NO_MODIFIER.fullmatch(meaning)):
                yield code


def items(header: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; none if it is missing."""
    value = header.get(keyword)
    return list(value) if isinstance(value, pydicom.Sequence) else []


def several(header: Dataset, keyword: str) -> list[str]:
    """Return the values of an attribute that may have several."""
    value = header.get(keyword) or ""
    return [str(part) for part in value] if isinstance(value, list | MultiValue) else str(value).split("\\")


def text(header: Dataset, keyword: str) -> str:
    """Return an attribute as text without surrounding spaces; empty if it is missing."""
    return str(header.get(keyword) or "").strip()


def number(header: Dataset, keyword: str, absent: int = 0) -> int:
    """Read an integer of the header; ``absent`` when it is missing or empty. Raises Unusable when it is no integer."""
    value = header.get(keyword)
    if value is None or value == "":
        return absent
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise Unusable("damaged_header", f"{keyword}: {error!r}") from error


def _real(header: Dataset, keyword: str) -> float:
    try:
        return float(header.get(keyword) or 0)
    except (TypeError, ValueError):
        return 0.0
