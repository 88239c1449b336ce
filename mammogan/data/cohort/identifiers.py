"""Identifiers of patients as spreadsheets leave them: rounded, with zeros lost or added, in other letters."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import unquote

from mammogan.errors import UserError

MOST_PATIENTS = 3
"""A UID or PatientID in files of more patients says nothing: an anonymiser gave it to all. If it is in files of fewer,
they may be one woman with several spellings."""
ROUNDED = re.compile(r"[+-]?\d+[.,]\d+e[+-]?\d+|[+-]?\de\+\d+|[1-9]\d{14}0{3,}", re.I)
"""A number that a program writes with an exponent, or of which a spreadsheet kept the 15 digits that it can. A point or
a plus sign distinguishes the first from a hexadecimal identifier; one or two zeros after 15 digits may be chance."""
THOUSANDS = re.compile(r"([1-9]\d{0,2}(?P<mark>[,.'])\d{3}(?:(?P=mark)\d{3})*)(?:(?!(?P=mark))[.,]0*)?")
"""A whole number with marks between the thousands: 1,234 or 1.234,00 or 1'234."""
ALIKE = str.maketrans(
    "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2018\u2019\u02bc"
    "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0456"
    "\u03b1\u03b2\u03b5\u03b7\u03b9\u03ba\u03bc\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7",
    "-------'''abekmhopctyxiabehikmnoptyx",
)
"""Dashes and apostrophes, and Cyrillic and Greek letters whose capitals look like Latin ones."""
QUOTES = str.maketrans(
    "\u201a\u201b\u2032\u2035\u2039\u203a\u00b4\u0060\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb"
    "\u300c\u300e\u3010\u300d\u300f\u3011\u2116",
    8 * "'" + 7 * '"' + "[[[]]]#",
)
"""Quotes and brackets of other countries, and the sign of a number."""
NOBODY = re.compile(
    "(nan?|nat|null|nil|none|missing|undefined|unk|unknown(patient)?|not(available|applicable|known)|"
    "anon|anonym(ous|i[sz]ed)?(patient)?|deidentified|redacted|removed|"
    "nobody|noname|nopatient|test(patient)?|dummy|xxx+|"
    "unbekannt|anonymisiert|inconnue?|anonyme|desconocid[oa]|desconhecid[oa]|anonim[oa]|sconosciut[oa]|onbekend|anoniem)?"
)
"""What is written into the cell of a patient who is not known, without case, accents and marks. Not 0, which may be the
first of several numbers."""
ROUNDED_NUMBER = "a number that a spreadsheet has rounded, such as 1.23457E+12"
NO_NAME = "a word or mark that names nobody, such as unknown"
NO_NAME_HINT = (
    "all women without an identifier would be one patient: give each of them one of her own, or take the rows away"
)
AUTHORITY = re.compile(r"\^{3}.*|(?<=\d)\^[\dx]?\^.*|\^+$", re.S)
"""What HL7 and DICOM write after an identifier: 100^^^HOSPITAL, 100^4^M11^HOSPITAL with a check digit, DOE^JANE^^."""
WRAPPED = re.compile(
    r"[bu]?(?P<mark>'+|\"+)(?P<quoted>[^'\"]+)(?P=mark)|\{(?P<braced>[^{}]+)\}|\[(?P<listed>[^\[\]]+)\]|"
    r"\((?P<rounded>[^()]+)\)|<(?P<pointed>[^<>]+)>",
    re.S,
)
"""How programs write a text, and GUIDs: '100', b'100' and ['100'] by Python, {6F9619FF-...} by Windows; and how people
do: (100) and <100>."""
MARKS_AROUND = re.compile(r"^([#*;|:\\/]+|\+(?=\d)|0x(?=[\da-f]{8,}$))|[#*;|:\\/,]+$|(?<=\D)\.$")
"""Marks before or after an identifier, such as #100, '100;' and the 0x of a long hexadecimal number."""
ESCAPE = re.compile(r"&(#\d+|#x[\da-f]+|[a-z]\w+);", re.I)
"""A character as web pages write it: &#39; and &eacute;."""
AS_TEXT = re.compile(r"'(?P<marked>.*)|=?\"(?P<quoted>[^\"]*)\"", re.S)
"""How spreadsheets write a number that is to stay a text: '0100 and ="0100"."""


def is_rounded(identifier: str) -> bool:
    """Return whether a spreadsheet has rounded an identifier, such as 1.23457E+12; several may have become one."""
    return bool(ROUNDED.fullmatch(identifier.strip()))


def names_nobody(identifier: str) -> bool:
    """Return whether an identifier is empty, has marks only, or is a word such as 'unknown', 'N/A' and 'ANONYMOUS^^':
    several women may have it."""
    letters = unicodedata.normalize("NFKD", identifier).casefold()
    return bool(NOBODY.fullmatch("".join(filter(str.isalnum, letters))))


def not_an_identifier(cell: str) -> str:
    """Say what is in a cell instead of the identifier of a patient; an empty text if it may be one."""
    if not cell:
        return "an empty cell"
    if is_rounded(cell):
        return ROUNDED_NUMBER
    return NO_NAME if names_nobody(cell) else ""


def without_decimals(identifier: str) -> str:
    """Return 12345 for 12345.0, as spreadsheets and pandas write it; any other identifier unchanged."""
    match = re.fullmatch(r"(-?\d+)\.0*", identifier.strip())
    return match[1] if match else identifier


def patient_of(identifier: str) -> str:
    """Return the patient that an identifier belongs to.

    CBIS-DDSM writes side and view into the identifier (Mass-Test_P_00820_LEFT_CC); without this function, one patient
    would count as several. Some programs write all letters small.
    """
    match = re.search(r"(?<![^\W_])(P_\d+)_(LEFT|RIGHT)_(CC|MLO)", identifier, re.I)
    return match[1].upper() if match else identifier


@lru_cache(1 << 18)
def spelling_free(identifier: str) -> str:
    """Return what two spellings of one identifier share: 0100, 100, 100.0 and ' 100' all give 100.

    Zeros at the start, decimals, marks between thousands, case, spaces, characters that are not seen, letters that look
    alike, digits of other scripts, an issuer, quotes, braces and marks around it, a spreadsheet's marks of a text, the
    escapes of web pages and the way in which accents are stored do not count.
    """
    seen = filter(_is_seen, unicodedata.normalize("NFKC", unescaped(identifier).translate(QUOTES)))
    digits = (str(unicodedata.decimal(one)) if one.isdecimal() else one for one in seen)
    plain = AUTHORITY.sub("", _without_marks("".join(digits).casefold().translate(ALIKE)))
    if match := AS_TEXT.fullmatch(plain):
        plain = match["marked"] or match["quoted"] or plain
    if match := THOUSANDS.fullmatch(plain):
        plain = match[1].replace(match["mark"], "")
    plain = re.sub(r"[.,]0*$", "", plain) if re.fullmatch(r"-?\d+[.,]0*", plain) else plain
    return re.sub(r"(?<!\d)0+(?=\d)", "", plain)


def unescaped(identifier: str) -> str:
    """Return an identifier as it was before a web page or an address was made of it: &#39; and %27 are apostrophes."""
    while (plain := ESCAPE.sub(lambda match: html.unescape(match[0]), identifier)) != identifier:
        identifier = plain
    try:
        return unquote(plain, errors="strict")
    except UnicodeDecodeError:
        return plain


def _without_marks(plain: str) -> str:
    """Return an identifier without the quotes, brackets and marks around it."""
    while (bare := _unwrapped(MARKS_AROUND.sub("", plain))) != plain:
        plain = bare
    return plain


def _unwrapped(plain: str) -> str:
    match = WRAPPED.fullmatch(plain)
    names = ("quoted", "braced", "listed", "rounded", "pointed")
    return next(filter(None, (match[name] for name in names)), plain) if match else plain


def _is_seen(character: str) -> bool:
    """Return whether a character leaves a mark: not spaces, control characters, nor directions of writing."""
    return not character.isspace() and unicodedata.category(character) not in ("Cc", "Cf")


def refuse_other_spellings(identifiers: Iterable[str], others: Iterable[str], where: str) -> None:
    """Raise UserError if two tables write one identifier in two ways: what one says of her would not be found."""
    known = set(identifiers)
    spelled = {spelling_free(identifier): identifier for identifier in known}
    odd = {other for other in others if other not in known and spelling_free(other) in spelled}
    if odd:
        raise UserError(
            f"{where}: expected one spelling for each patient, found {len(odd)} with two, such as 0100 and 100; take "
            "the tables as they were downloaded"
        )


def refuse_two_spellings_of(what: str, where: str, numbers: Iterable[tuple[str, str]]) -> None:
    """Raise UserError if one number of ``what``, such as an exam or an image, has two spellings: rows about it would be
    taken for rows about another. ``numbers``: each with the woman whose it is, or an empty text if it is nobody's."""
    spelled: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for whose, number in set(numbers):
        spelled[whose, spelling_free(number)].add(number)
    if odd := sum(len(spellings) > 1 for spellings in spelled.values()):
        raise UserError(
            f"{where}: expected one spelling for each {what}, found {odd} with two, such as 0041 and 41; write it "
            "alike in all rows, or take the tables as they were downloaded"
        )


def first_lines(patients: Iterable[tuple[int, str]]) -> dict[str, int]:
    """Return the first line of each patient, of the line and the patient of each row."""
    first: dict[str, int] = {}
    for line, patient in patients:
        first.setdefault(patient, line)
    return first


def who_and_where(patients: int, lines: Sequence[int]) -> tuple[str, str]:
    """Return how a warning on patients with two identifiers each begins, and where it says that two such rows are."""
    first, second = lines
    who = "1 patient has" if patients == 1 else f"{patients} patients have"
    return who, f"lines {first} and {second} of the table{'' if patients == 1 else ' are the first'}"
