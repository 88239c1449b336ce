"""Detectors that see only pixels read a drawn study, and stand beside its readers, never among them."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from readings import readable_phantoms

from mammogan.errors import UserError
from mammogan.reader.config import DrawConfig
from mammogan.reader.detector_reading import read_by_detectors
from mammogan.reader.detector_scores import FILE, RECORD, DetectorScore, images_to_score, read_scores, write_scores
from mammogan.reader.drawing.draw_folder import draw_reading
from mammogan.reader.folder import ReadingFolder
from mammogan.reader.key import ReadingKey
from mammogan.reader.observers import Ability, Observer
from mammogan.reader.readings import Readings, read_folder
from mammogan.reader.report.detector_table import detector_curve, detector_table, scored_sessions
from mammogan.reader.report.report import write_report
from mammogan.reader.simulate import simulate
from mammogan.workspace import Workspace

NAME = "rehearsal"
READERS = ("R1", "R2", "R3")


@pytest.fixture(scope="module")
def glowing(converted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A study whose adversarial images have light in the air, read by detectors; read-only by agreement."""
    workspace = readable_phantoms(converted, tmp_path_factory.mktemp("glowing") / "work", "as-generated")
    options = DrawConfig(NAME, READERS, seed=1, simulated=True, background="as-generated", allow_cues=True)
    draw_reading(workspace, options)
    read_by_detectors(workspace, NAME, "cpu", steps=120)
    return workspace


@pytest.fixture(scope="module")
def readings(glowing: Workspace) -> Readings:
    observers = {reader: Observer(Ability(0.0)) for reader in READERS}
    simulate(glowing.reading(NAME), glowing.reading_key(NAME), observers)
    return read_folder(glowing.reading(NAME), glowing.reading_key(NAME))


def test_detectors_find_what_guessing_readers_do_not_and_are_not_counted_with_them(
    readings: Readings, tmp_path: Path, coarse_figures: None
) -> None:
    rows = {(row["detector"], row["session"]): row for row in detector_table(readings).rows}
    assert set(rows) == {(detector, session) for detector in ("network", "spectrum") for session in (3, 5)}
    assert all(float(rows["network", session]["AUC of the scores"] or 0) > 0.9 for session in (3, 5))
    write_report(tmp_path, readings, groups=2)
    with open(tmp_path / "answers.csv", newline="", encoding="utf-8") as file:
        assert {row["reader"] for row in csv.DictReader(file)} == set(READERS)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Could a program tell, from the pixels alone?" in page and "no detector is counted among the readers" in page


def test_every_image_of_the_mixed_sessions_is_scored_once_by_each_detector(glowing: Workspace) -> None:
    key = ReadingKey.load(glowing.reading_key(NAME))
    images = sorted(image.image for image in key.images if image.session in (3, 5))
    plan = ReadingFolder(glowing.reading(NAME)).load()
    assert sorted(images_to_score(plan, key)) == images
    for detector in ("network", "spectrum"):
        scores = read_scores(glowing.reading_key(NAME).parent, images_to_score(plan, key))
        assert sorted(score.image for score in scores if score.detector == detector) == images
    file = glowing.reading_key(NAME).parent / FILE
    assert file.stat().st_mode & 0o777 == 0o600, "a reader who has it has the answers"


def test_scores_are_kept_and_those_of_another_drawing_are_refused(
    glowing: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(glowing.root, tmp_path / "work")
    workspace = Workspace(tmp_path / "work")
    file = workspace.reading_key(NAME).parent / FILE
    before = file.read_bytes()
    read_by_detectors(workspace, NAME, "cpu")
    assert "have read this study already" in capsys.readouterr().out and file.read_bytes() == before
    file.write_bytes(before.rsplit(b"network", 1)[0])
    with pytest.raises(UserError, match="scores of other images than"):
        read_by_detectors(workspace, NAME, "cpu")


IMAGES = {"a" * 32: "1" * 64, "b" * 32: "2" * 64}
SCORES = tuple(DetectorScore(name, image, 1.5) for name in ("network", "spectrum") for image in IMAGES)


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    write_scores(tmp_path, SCORES, IMAGES)
    assert read_scores(tmp_path, IMAGES) == SCORES
    return tmp_path


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda held: held.replace(b"1.5", b"-1.5", 1), "it was changed after it was written"),
        (lambda held: held[: held.index(b"spectrum")], "scores of other images"),
        (lambda held: held[: held.index(b"network")], "it has no rows"),
        (lambda held: held + held.splitlines(keepends=True)[-1], "it was changed after it was written"),
        (lambda held: bytes(len(held)), "holds only zero bytes, as after a power loss"),
        (lambda held: b"", "it is no table of"),
    ],
)
def test_a_table_of_scores_that_is_not_as_it_was_written_is_refused_and_never_taken_as_none(
    scored: Path, damage: Callable[[bytes], bytes], told: str
) -> None:
    (scored / FILE).write_bytes(damage((scored / FILE).read_bytes()))
    with pytest.raises(UserError, match=rf"{FILE} .*{told}.* run mammogan detector-reading again"):
        read_scores(scored, IMAGES)


@pytest.mark.parametrize("lost", [FILE, RECORD])
def test_a_table_of_scores_without_its_record_and_a_record_without_its_table_are_refused(
    scored: Path, lost: str
) -> None:
    (scored / lost).unlink()
    with pytest.raises(UserError, match="run mammogan detector-reading again"):
        read_scores(scored, IMAGES)


def test_scores_of_an_image_that_had_other_bytes_are_refused(scored: Path) -> None:
    with pytest.raises(UserError, match="scores of other images than the 2 of this study"):
        read_scores(scored, IMAGES | {"a" * 32: "3" * 64})


def test_detectors_do_not_score_an_image_that_is_not_the_drawn_one(glowing: Workspace, tmp_path: Path) -> None:
    workspace = Workspace(Path(shutil.copytree(glowing.root, tmp_path / "work")))
    private, folder = workspace.reading_key(NAME).parent, ReadingFolder(workspace.reading(NAME))
    for file in (FILE, RECORD):
        (private / file).unlink()
    one, another = sorted(images_to_score(folder.load(), ReadingKey.load(workspace.reading_key(NAME))))[:2]
    folder.image(one).write_bytes(folder.image(another).read_bytes())
    with pytest.raises(UserError, match=rf"{one}.raw was changed after the study was drawn: copy it again"):
        read_by_detectors(workspace, NAME, "cpu", steps=2)
    assert not (private / FILE).exists()


def test_a_detector_gives_the_more_probable_answer() -> None:
    assert [DetectorScore("network", "i", log_odds).says for log_odds in (-0.1, 0.1)] == ["real", "not real"]


def test_the_curve_of_a_detector_rises_from_nothing_to_everything(readings: Readings) -> None:
    for _, _, scored in scored_sessions(readings):
        curve = np.array(detector_curve(scored))
        assert curve[0].tolist() == [0, 0] and curve[-1].tolist() == [1, 1] and (np.diff(curve, axis=0) >= 0).all()
