"""A free text in a header never leaves out an image alone: devices copy the name of the study into it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pydicom
import pytest
from archives import cbis_ddsm
from archives.miniature import Miniature, code
from archives.scanning import outcome, rows_of, scanned

from mammogan.data.archives.selection import Selection

PLAIN = ["ORIGINAL", "PRIMARY"]
STUDIES = (
    *("MAMMO SCREENING BILAT W CAD", "MAMMO SCREENING BILAT W TOMO", "MAM DIAGNOSTIC BILAT W SPOT IF NEEDED"),
    *("DIGITAL MAMMO W/CAD", "Screening 2D and C-View", "STEREO GUIDED BX WITH SPECIMEN", "FFDM bilateral + tomo"),
)
OF_OTHER_LANGUAGES = (
    *("MMG mit CAD", "Mammographie beidseits mit Tomosynthese", "Tomosynthese bds", "Dépistage avec CAD"),
    *("MAMOGRAFIA BILATERAL COM CAD", "Mammografia + tomosintesi", "Tomosíntesis bilateral", "MX met tomosynthese"),
    *("Bröstscreening med tomosyntes", "Badanie przesiewowe, tomosynteza", "Tarama tomosentez", "CAD 付き 検診"),
    *("Скрининг CAD", "Mammo-Spot gezielt", "Tomomammographie", "Mammotomosynthese", "Stereotaxie rechts"),
    *("CAD ?? ????", "CAD \ufffd\ufffd"),
)
OF_SEVERAL_IMAGES = ("CC+MLO tomo", "L R CAD", "RCC LCC RMLO LMLO CAD", "2D + 3D tomo", "CAD/TOMO", "C-View & Tomo")
OF_ONE_IMAGE = (
    *(
        "L CC Tomosynthesis Slices",
        "LCC Tomosynthesis Reconstruction",
        "L CC Breast Tomosynthesis Image",
        "3DTomo L_CC",
    ),
    *("L CC spot compression", "Mag view LCC", "CAD overlay", "L-CC CAD marks", "Stereo L CC +15", "Stereotactic L"),
    *("Intelligent 2D L CC", "Specimen radiograph", "CC spot tomo", "TOMO 3/60"),
)


def found(tmp_path: Path, **elements: Any) -> tuple[str, str, list[str]]:
    """What becomes of a plain view with these elements: label or reason, its doubts, and the report."""
    made = Miniature(tmp_path / "archive")
    made.image("a.dcm", "", SpecificCharacterSet="ISO_IR 192", **elements)
    made.image("b.dcm", "negative")
    made.table("mine.csv", ("path", "patient", "label"), [("a.dcm", "1", "negative"), ("b.dcm", "2", "negative")])
    report = scanned(made.root, tmp_path / "labels.csv", overwrite=True)
    rows = {Path(row["path"]).name: row for row in rows_of(tmp_path / "labels.csv")}
    word = outcome(made.root, tmp_path / "labels.csv")["a.dcm"]
    return word, rows.get("a.dcm", {}).get("doubts", ""), list(report.lines())


@pytest.mark.parametrize("text", [*STUDIES, *OF_OTHER_LANGUAGES, *OF_SEVERAL_IMAGES])
@pytest.mark.parametrize("kind", [{"ImageType": PLAIN}, {}])
def test_the_name_of_a_study_leaves_no_view_out(text: str, kind: dict[str, Any], tmp_path: Path) -> None:
    word, doubts, said = found(tmp_path, SeriesDescription=text, **kind)
    assert word == "negative" and "text_" in doubts
    assert any("the series' description may mean " in line for line in said)


@pytest.mark.parametrize("text", ["L CC C-View", "Tomo", "CAD", "L CC spot", "specimen"])
def test_a_text_against_codes_is_a_doubt_and_alone_it_decides(text: str, tmp_path: Path) -> None:
    assert found(tmp_path, SeriesDescription=text, ImageType=PLAIN)[0] == "negative"
    coded = {"ViewCodeSequence": [code("399162004")], "without": ["ViewPosition"], "ImageType": ["DERIVED", "PRIMARY"]}
    assert found(tmp_path, SeriesDescription=text, **coded)[0] == "negative"
    assert found(tmp_path, SeriesDescription=text)[0] in {
        "synthetic2d",
        "multiframe",
        "cad_or_sc",
        "spot_mag",
        "specimen",
    }


@pytest.mark.parametrize("text", ["AUTOMODE", "Customorgan", "MAMMO SCREENING NO CAD", "L CC w/o tomo", "L CC CAD off"])
def test_a_text_that_has_the_letters_of_a_kind_or_denies_it_raises_no_doubt(text: str, tmp_path: Path) -> None:
    assert found(tmp_path, SeriesDescription=text)[:2] == ("negative", "")


@pytest.mark.parametrize("text", OF_ONE_IMAGE)
def test_a_text_of_this_one_image_leaves_it_out_where_no_code_says_that_it_is_plain(text: str, tmp_path: Path) -> None:
    kinds = {"multiframe", "spot_mag", "cad_or_sc", "view_modifier", "synthetic2d", "specimen"}
    assert found(tmp_path, SeriesDescription=text)[0] in kinds
    word, doubts, _ = found(tmp_path, SeriesDescription=text, ImageType=PLAIN)
    assert word == "negative" and "text_" in doubts


@pytest.mark.parametrize("text", ["R CC CAD", "L MLO tomo", "RMLO spot"])
def test_a_text_of_another_image_is_a_doubt(text: str, tmp_path: Path) -> None:
    word, doubts, _ = found(tmp_path, SeriesDescription=text)
    assert word == "negative" and "text_" in doubts


@pytest.mark.parametrize("texts", [("Dépistage Dr Tan", "L CC"), ("Kontrolle AT", "L CC spot")])
def test_a_view_in_a_text_of_one_image_outweighs_one_in_a_text_of_any_language(
    texts: tuple[str, str], tmp_path: Path
) -> None:
    series, protocol = texts
    assert found(tmp_path, SeriesDescription=series, ProtocolName=protocol, without=["ViewPosition"])[0] == "negative"


def test_the_list_of_excluded_files_says_which_text_named_another_view(tmp_path: Path) -> None:
    assert found(tmp_path, SeriesDescription="Dépistage Dr Tan", without=["ViewPosition"])[0] == "view_excluded"
    with open(tmp_path / "labels.excluded.csv", newline="", encoding="utf-8") as file:
        [row] = csv.DictReader(file)
    assert row["detail"] == "TAN, by SeriesDescription"


@pytest.mark.parametrize("kind", ["1", "1.1"])
def test_a_plain_image_of_a_computed_or_digital_radiograph_is_coded_too(kind: str, tmp_path: Path) -> None:
    plain = {"SOPClassUID": f"1.2.840.10008.5.1.4.1.1.{kind}", "ImageType": ["DERIVED", "PRIMARY"]}
    word, doubts, _ = found(tmp_path, SeriesDescription="L CC CAD", **plain)
    assert (word, doubts) == ("negative", "text_cad_or_sc")


def test_a_view_in_the_users_own_table_outweighs_a_text(tmp_path: Path) -> None:
    made = Miniature(tmp_path / "archive")
    made.image("a.dcm", "negative", SeriesDescription="L CC tomo")
    made.image("b.dcm", "multiframe", SeriesDescription="L CC tomo")
    made.table(
        "mine.csv",
        ("path", "patient", "view", "label"),
        [("a.dcm", "1", "CC", "negative"), ("b.dcm", "2", "", "negative")],
    )
    scanned(made.root, tmp_path / "labels.csv")
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected
    assert [row["doubts"] for row in rows_of(tmp_path / "labels.csv")] == ["text_multiframe"]


@pytest.mark.parametrize("text", ["MAMMO AT MOBILE UNIT 2", "Screening Dr. Tan"])
def test_a_text_that_names_the_view_outweighs_one_that_names_the_study(text: str, tmp_path: Path) -> None:
    word, doubts, _ = found(tmp_path, SeriesDescription=text, ProtocolName="L CC", without=["ViewPosition"])
    assert (word, doubts) == ("negative", "view_disagrees")


@pytest.mark.parametrize("text", ["ML denoise", "PV CV 2", "FB filter 1", "AT v3"])
@pytest.mark.parametrize("keyword", ["SeriesDescription", "ProtocolName"])
def test_a_text_of_nothing_but_a_view_outweighs_letters_in_the_name_of_a_processing(
    text: str, keyword: str, tmp_path: Path
) -> None:
    processing = {"AcquisitionDeviceProcessingDescription": text, "without": ["ViewPosition"]}
    assert found(tmp_path, **processing, **{keyword: "L CC"})[:2] == ("negative", "view_disagrees")
    assert found(tmp_path, **processing, **{keyword: "Mammography"})[0] == "view_excluded"


def test_the_name_of_a_processing_still_gives_a_view_before_that_of_a_study(tmp_path: Path) -> None:
    texts = {"AcquisitionDeviceProcessingDescription": "eContrast CC", "SeriesDescription": "MAMMO AT UNIT 2"}
    assert found(tmp_path, **texts, without=["ViewPosition"])[:2] == ("negative", "view_disagrees")


@pytest.mark.parametrize("text", ["full mammogram images, not cropped", "Detroit"])
def test_a_film_is_no_part_of_one_because_a_text_has_the_letters_of_a_word(text: str, tmp_path: Path) -> None:
    made, asked = cbis_ddsm.write(tmp_path / "archive"), Selection(allow_film=True)
    for path in made.root.rglob("*full*/*.dcm"):
        header = pydicom.dcmread(path)
        header.SeriesDescription = text
        header.save_as(path)
    scanned(made.root, tmp_path / "labels.csv", asked)
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected


@pytest.mark.parametrize("view", ["cc", "LCC", "L CC", "L-MLO", "LEFT CC", "CC L", "Left_MLO"])
def test_a_view_with_its_side_or_in_small_letters_is_a_code_too(view: str, tmp_path: Path) -> None:
    assert found(tmp_path, SeriesDescription="Tomo", ImageType=PLAIN, ViewPosition=view)[0] == "negative"


@pytest.mark.parametrize("text", ["MAMMO SCREENING AT CLINIC", "ML enhanced", "TAN"])
def test_the_name_of_a_file_says_more_of_its_view_than_a_text(text: str, tmp_path: Path) -> None:
    made = Miniature(tmp_path / "archive")
    made.image("1_L_CC.dcm", "negative", SeriesDescription=text, without=["ViewPosition"])
    made.table("mine.csv", ("path", "patient", "label"), [("1_L_CC.dcm", "1", "negative")])
    scanned(made.root, tmp_path / "labels.csv")
    [row] = rows_of(tmp_path / "labels.csv")
    assert (row["view"], row["view_source"], row["doubts"]) == ("CC", "file_name", "view_disagrees")


@pytest.mark.parametrize(
    ("value", "meaning", "source"),
    [
        ("99", "MLO", "CodeMeaning"),
        ("99", "left MLO", "CodeMeaning"),
        ("99", "Mediolateral Oblique View", "CodeMeaning"),
        ("LMLO", "", "ViewCodeSequence"),
    ],
)
def test_a_code_of_the_devices_own_says_more_than_a_text(value: str, meaning: str, source: str, tmp_path: Path) -> None:
    own = {"ViewCodeSequence": [code(value, "99X", meaning)], "without": ["ViewPosition"]}
    assert found(tmp_path, SeriesDescription="MAMMO SCREENING AT CLINIC", **own)[0] == "negative"
    [row] = [row for row in rows_of(tmp_path / "labels.csv") if row["path"].endswith("a.dcm")]
    assert (row["view"], row["view_source"], row["doubts"]) == ("MLO", source, "view_disagrees")


@pytest.mark.parametrize("folder", ["ml", "AT", "CV 2020", "L/TAN"])
def test_the_name_of_a_folder_outweighs_neither_the_name_of_a_file_nor_a_text(folder: str, tmp_path: Path) -> None:
    made = Miniature(tmp_path / "archive")
    made.image(f"{folder}/1_R_CC.dcm", "negative", "R", without=["ViewPosition", "ImageLaterality"])
    made.image(f"{folder}/2.dcm", "negative", "R", SeriesDescription="R MLO", without=["ViewPosition"])
    rows = [(name, str(number), "negative") for number, name in enumerate(made.expected)]
    made.table("mine.csv", ("path", "patient", "label"), rows)
    scanned(made.root, tmp_path / "labels.csv")
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected
    found = [
        (row["laterality"], row["view"], row["view_source"], row["doubts"]) for row in rows_of(tmp_path / "labels.csv")
    ]
    assert found[0] == ("R", "CC", "file_name", "") and found[1][:3] == ("R", "MLO", "SeriesDescription")


def test_a_folder_says_what_nothing_else_does_and_is_called_a_folder(tmp_path: Path) -> None:
    made, bare = Miniature(tmp_path / "archive"), {"without": ["ViewPosition", "ImageLaterality"]}
    made.image("1/left/CC/IM-0001.dcm", "negative", **bare)
    made.image("AT/p/2.dcm", "view_excluded", without=["ViewPosition"])
    made.table("mine.csv", ("path", "patient", "label"), [(name, name[0], "negative") for name in made.expected])
    scanned(made.root, tmp_path / "labels.csv")
    [row] = rows_of(tmp_path / "labels.csv")
    assert [row[column] for column in ("laterality", "view")] == ["L", "CC"]
    assert {row["view_source"], row["laterality_source"]} == {"folder_name"}
    assert [row["detail"] for row in rows_of(tmp_path / "labels.excluded.csv")] == ["AT, by folder_name"]


def test_codes_and_values_of_the_device_still_decide(tmp_path: Path) -> None:
    assert found(tmp_path, ImageType=["DERIVED", "PRIMARY", "TOMO", "GENERATED_2D"])[0] == "synthetic2d"
    assert found(tmp_path, ImageType=PLAIN, PaddleDescription="10CM SPOT")[0] == "spot_mag"
    assert found(tmp_path, ImageType=PLAIN, PaddleDescription="MAGNETIC LATCH 24X30")[0] == "negative"
    modified = {"ViewModifierCodeSequence": [code("399055006")], "ImageType": PLAIN}
    assert found(tmp_path, **modified)[0] == "spot_mag"


def test_a_paddles_description_of_many_words_is_a_doubt_and_one_that_denies_a_spot_is_none(tmp_path: Path) -> None:
    word, doubts, said = found(
        tmp_path, ImageType=PLAIN, PaddleDescription="contact paddle, use spot paddle where needed"
    )
    assert (word, doubts) == ("negative", "text_spot_mag") and any("or the paddle does" in line for line in said)
    assert found(tmp_path, ImageType=PLAIN, PaddleDescription="NO SPOT")[:2] == ("negative", "")


def test_the_side_of_a_header_is_understood_as_a_word_too(tmp_path: Path) -> None:
    made = Miniature(tmp_path / "archive")
    made.image("a.dcm", "negative", "R", ImageLaterality="Right")
    made.table("mine.csv", ("path", "patient", "label"), [("a.dcm", "1", "negative")])
    scanned(made.root, tmp_path / "labels.csv")
    [row] = rows_of(tmp_path / "labels.csv")
    assert (row["laterality"], row["laterality_source"]) == ("R", "ImageLaterality")
