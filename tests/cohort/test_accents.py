"""A name that has lost its accents, or was read in a wrong encoding, is probably one woman's: a warning."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mammogan.data.cohort.accents import accent_warnings

NAME = "M\u00dcLLER^\u00c9VA"
SAID = "differ only in accents or in letters that a wrong encoding changed"


def warned(*patients: str) -> Sequence[str]:
    return accent_warnings(enumerate(patients, 2))


def garbled(text: str, wrong: str, right: str = "utf-8", times: int = 1) -> str:
    for _ in range(times):
        text = text.encode(right).decode(wrong)
    return text


@pytest.mark.parametrize(
    "other",
    [
        "MULLER^EVA",
        "MUELLER^EVA",
        "muller^eva",
        "M?LLER^?VA",
        "M\ufffdLLER^\ufffd\ufffdVA",
        garbled(NAME, "latin-1"),
        garbled(NAME, "latin-1", times=2),
        garbled(NAME, "mac_roman"),
        garbled(NAME, "cp437"),
        garbled(NAME, "cp850", "cp1252"),
        garbled(NAME, "cp1252", "mac_roman"),
    ],
)
def test_a_name_without_its_accents_or_garbled_is_warned_of_and_not_quoted(other: str) -> None:
    assert other != NAME
    [warning] = warned("ROE^JANE", NAME, "7", other, other, "ROE^J\u00c1N")
    assert warning.startswith("1 patient has") and SAID in warning and "lines 3 and 5 of the table" in warning
    assert "ROE" not in warning and "VA" not in warning


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("\u7530\u4e2d", garbled("\u7530\u4e2d", "latin-1")),
        ("\u7530\u4e2d", "??"),
        ("P\u00c1LO", "P\u00c3\u0081LO"),
        ("\u0141\u00d3D\u01771", "LODY1"),
        ("S\u00d8REN", "SOREN"),
        ("M\u00fcller", "M\u00b3ller"),
        (garbled("M\u00fcller", "cp1252"), "Muller"),
        (garbled("M\u00fcller", "cp1252"), "M?ller"),
    ],
)
def test_other_letters_and_encodings_are_known(name: str, other: str) -> None:
    assert len(warned(name, other)) == len(warned(other, name)) == 1


@pytest.mark.parametrize(
    "honest",
    [
        ("M\u00dcLLER", "M\u00d6LLER", "MILLER", "M\u00c5LLER"),
        ("MULLER", "MUELLER"),  # none of them has lost anything that is known
        ("\u0661\u0660\u0660", "101", "1000"),
        ("100?", "1000", "\u2116 7", "77"),
        ("\u304c\u304f", "\u304b\u304f"),  # in Japanese, the mark makes another syllable
        ("\u0439\u043e", "\u0438\u043e"),
        ("\u00c91", "F1", "E10", "E2"),
        (NAME, NAME.lower(), f"{NAME}^^"),  # refused as spellings elsewhere
    ],
)
def test_other_patients_are_not_warned_of(honest: Sequence[str]) -> None:
    assert warned(*honest) == []
