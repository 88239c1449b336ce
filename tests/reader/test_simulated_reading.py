"""Simulated readers read a drawn study through its server, and the tables show what was planted."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest
from edited import renew_checksum
from matplotlib.figure import Figure
from matplotlib.text import Text
from reading_servers import Process

from mammogan.errors import MissingInput, UserError
from mammogan.reader.config import DrawConfig
from mammogan.reader.drawing.draw_folder import draw_reading
from mammogan.reader.observers import Ability, Observer
from mammogan.reader.plan import PHANTOMS_ONLY, Phantoms
from mammogan.reader.readings import Readings, read_folder
from mammogan.reader.report.opening import title_of
from mammogan.reader.report.report import write_report
from mammogan.reader.simulate import Browser, link_of, simulate
from mammogan.workspace import Workspace

pytestmark = pytest.mark.usefixtures("coarse_figures")

NAME = "rehearsal"
OBSERVERS = {
    "R1": Observer(Ability(8.0)),
    "R2": Observer(Ability(0.0)),
    "R3": Observer(Ability(0.0), looks_at_border=True),
}


def rehearsal(workspace: Workspace, **options: object) -> Workspace:
    draw_reading(workspace, DrawConfig(name=NAME, readers=tuple(OBSERVERS), seed=1, simulated=True, **options))  # type: ignore[arg-type]
    return workspace


def readings_of(workspace: Workspace) -> Readings:
    return read_folder(workspace.reading(NAME), workspace.reading_key(NAME))


@pytest.fixture(scope="module")
def read(readable_once: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A study that all observers have read; read-only by agreement."""
    root = tmp_path_factory.mktemp("read") / "work"
    shutil.copytree(readable_once.root, root)
    workspace = rehearsal(Workspace(root))
    simulate(workspace.reading(NAME), workspace.reading_key(NAME), OBSERVERS)
    return workspace


def test_every_image_is_answered_once_by_every_reader_and_joined_with_its_truth(read: Workspace) -> None:
    readings = readings_of(read)
    plan = readings.plan
    asked = {s.number: len(s.places) for s in plan.sessions if s.asks}
    for reader in plan.readers:
        for session, places in asked.items():
            own = [a for a in readings.answers if (a.reader, a.session) == (reader, session)]
            assert sorted(answer.position for answer in own) == list(range(places))
    assert all(sitting.done == sitting.total for sitting in readings.sittings)
    truth = {(i.session, i.key, i.role): i for i in readings.key.images}
    assert all((a.session, a.key, a.shown) in truth for a in readings.answers)


def test_readers_who_have_finished_read_nothing_again(read: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    before = readings_of(read)
    simulate(read.reading(NAME), read.reading_key(NAME), OBSERVERS)
    assert capsys.readouterr().out.count("has given 0 answers") == len(OBSERVERS)
    assert readings_of(read) == before


def test_who_sees_everything_is_right_and_who_watches_the_border_learns_nothing(read: Workspace) -> None:
    answers = [answer for answer in readings_of(read).answers if answer.session in (3, 5)]
    right = {reader: [a.correct for a in answers if a.reader == reader] for reader in OBSERVERS}
    assert sum(right["R1"]) >= 0.95 * len(right["R1"])
    watcher = [answer for answer in answers if answer.reader == "R3"]
    assert {answer.answer for answer in watcher} == {"real"}, "no corner of a fake is visible"


def test_as_generated_the_border_watcher_is_right(readable_once: Workspace, tmp_path: Path) -> None:
    # The reading folder is drawn with cues allowed from adversarial images whose air is not black.
    from readings import readable_phantoms

    made = readable_phantoms(Workspace(readable_once.root), tmp_path / "work", "as-generated")
    workspace = rehearsal(made, background="as-generated", allow_cues=True)
    simulate(workspace.reading(NAME), workspace.reading_key(NAME), OBSERVERS)
    watcher = [a for a in readings_of(workspace).answers if a.reader == "R3" and a.session in (3, 5)]
    assert all(answer.correct for answer in watcher)


def test_the_report_says_simulated_wherever_a_person_looks(read: Workspace, tmp_path: Path) -> None:
    tables = write_report(tmp_path, readings_of(read), groups=2)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    title = re.search("<title>(.*?)</title>", page)
    assert title and "simulated readers" in title[1]
    assert "No person has read these images" in page and "http" not in page.replace("http-equiv", "")
    assert {f"{table.name}.csv" for table in tables} <= {path.name for path in tmp_path.iterdir()}
    for name in ("table3", "table4", "between_sessions"):
        assert "(simulated readers)" in json.loads((tmp_path / f"{name}.json").read_text())["caption"]
    with open(tmp_path / "answers.csv", newline="", encoding="utf-8") as file:
        assert {row["simulated"] for row in csv.DictReader(file)} == {"True"}
    counted = {row["session"]: row for row in tables[0].rows}
    plan = readings_of(read).plan
    assert [counted[s.number]["places"] for s in plan.sessions] == [len(s.places) for s in plan.sessions]


def test_the_report_says_phantoms_in_title_first_sentence_captions_and_pictures(
    read: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[str] = []

    def text(self: Figure, x: float, y: float, words: str, **style: object) -> Text:
        noted.append(words)
        return write(self, x, y, words, **style)

    write = Figure.text
    monkeypatch.setattr(Figure, "text", text)
    tables = write_report(tmp_path, readings_of(read), groups=2)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert re.findall("<h1>(.*?)</h1>", page) == ["Would a reader notice? Phantom mammograms, simulated readers"]
    plan = readings_of(read).plan
    assert title_of(replace(plan, simulated=False)) == "Would a reader notice? Phantom mammograms"
    kind = plan.phantoms.kind
    assert re.fullmatch(r"phantom mammograms, lesion contrast x[\d.]+", kind)
    assert f"Reader study {NAME} on {kind}: 3 simulated readers" in page
    assert f"No patient was imaged: {kind}, drawn by a program." in page
    captions = [*re.findall("<h2>(.*?)</h2>", page)[: len(tables) + 1], *re.findall("<figcaption>(.*?)</fig", page)]
    assert len(captions) == len(tables) + 1 + 4 and all(
        f". P{kind[1:]}" in c or f"? P{kind[1:]}" in c for c in captions
    )
    assert noted == [f"{kind}; simulated readers"] * 4
    for table in tables:
        assert f"P{kind[1:]}**" in (tmp_path / f"{table.name}.md").read_text(encoding="utf-8").splitlines()[0]
        assert json.loads((tmp_path / f"{table.name}.json").read_text(encoding="utf-8"))["mammograms"] == kind
    with open(tmp_path / "answers.csv", newline="", encoding="utf-8") as file:
        assert {row["mammograms"] for row in csv.DictReader(file)} == {kind}


def test_of_phantoms_people_read_original_and_real_is_only_an_answer(read: Workspace, tmp_path: Path) -> None:
    write_report(tmp_path, readings_of(read), groups=2)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<td>original</td>" in page and "<th>original positive</th>" in page
    assert not re.search("<t[dh]>real", page) and "% of the originals for not real" in page
    saved = json.loads((tmp_path / "table3.json").read_text(encoding="utf-8"))
    assert {row["shown"] for row in saved["rows"]} == {"real", "fake"}


def test_of_readers_who_are_exactly_alike_the_report_says_that_they_show_nothing_of_others(
    read: Workspace, tmp_path: Path
) -> None:
    readings = readings_of(read)
    right = [replace(a, answer="not real" if a.shown == "fake" else "real") for a in readings.answers]
    write_report(tmp_path, replace(readings, answers=right), groups=2)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "these readers are exactly alike, which shows nothing of others" in page and "nan" not in page


def test_a_report_on_patients_does_not_speak_of_phantoms(read: Workspace, tmp_path: Path) -> None:
    readings = readings_of(read)
    notes = tuple(note for note in readings.plan.notes if note != PHANTOMS_ONLY)
    write_report(tmp_path, replace(readings, plan=replace(readings.plan, phantoms=Phantoms(), notes=notes)), groups=2)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "hantom" not in page and "on mammograms of patients: 3 simulated readers" in page
    assert "<h1>Would a reader notice? Simulated readers</h1>" in page and "<td>real</td>" in page


def test_a_report_on_phantoms_and_patients_says_that_they_are_counted_together(read: Workspace, tmp_path: Path) -> None:
    readings = readings_of(read)
    mix = Phantoms("a mix of 3 phantoms and 2 mammograms of patients", and_patients=True)
    tables = write_report(tmp_path, replace(readings, plan=replace(readings.plan, phantoms=mix)), groups=2)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Would a reader notice? Mammograms and phantoms, simulated readers" in page
    assert f"Counted together: {mix.kind}." in page and "No patient was imaged" not in page
    assert all("A mix of 3 phantoms" in table.caption for table in tables) and "<td>real</td>" in page


def test_a_long_simulated_reading_shows_how_far_it_is(readable: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = rehearsal(readable, scale=0.05)
    simulate(workspace.reading(NAME), workspace.reading_key(NAME), OBSERVERS)
    places = sum(len(session.places) for session in readings_of(workspace).plan.sessions)
    shown = capsys.readouterr().out
    assert f"R1: images read: {places} of {places} in" in shown and f"R1 has given {places} answers" in shown


def test_an_unfinished_reading_has_tables_and_says_what_is_missing(readable: Workspace, tmp_path: Path) -> None:
    workspace = rehearsal(readable)
    folder = workspace.reading(NAME)
    with pytest.raises(MissingInput, match="serve it to readers first"):
        readings_of(workspace)
    simulate(folder, workspace.reading_key(NAME), OBSERVERS)
    with sqlite3.connect(folder / "reading.sqlite") as database:  # as if the last reader had not begun session 5
        triggers = database.execute("select name, sql from sqlite_master where type = 'trigger'").fetchall()
        for name, _ in triggers:
            database.execute(f"drop trigger {name}")
        database.execute("delete from answer where session = 5 and reader = 3")
        for _, statement in triggers:
            database.execute(statement)
    write_report(tmp_path, readings_of(workspace), groups=2)
    assert "Reading is not finished: R3 session 5: 0 of" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_no_simulated_reader_answers_a_study_of_people(readable: Workspace) -> None:
    draw_reading(readable, DrawConfig(name=NAME, readers=tuple(OBSERVERS), seed=1))
    with pytest.raises(UserError, match="drawn for people"):
        simulate(readable.reading(NAME), readable.reading_key(NAME), OBSERVERS)


def test_a_connection_that_the_server_has_closed_meanwhile_is_opened_again(process: Process) -> None:
    browser = Browser(process.port, link_of(process.folder.path, "R1"))
    before = browser.state("/me")
    process.kill()
    process.start()
    assert browser.state("/me") == before


def test_the_server_answers_at_once_on_a_connection_that_is_kept_open(process: Process) -> None:
    browser = Browser(process.port, link_of(process.folder.path, "R1"))
    took = []
    for _ in range(20):
        began = time.monotonic()
        browser.get("/me")
        took.append(time.monotonic() - began)
    assert min(took[1:]) < 0.03, "each answer waited for an acknowledgement, which takes 0.04 s"


def test_a_changed_key_is_not_believed(read: Workspace, tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    key.write_text(read.reading_key(NAME).read_text().replace('"fake"', '"real"', 1))
    with pytest.raises(UserError, match="its content was changed after it was written"):
        read_folder(read.reading(NAME), key)
    renew_checksum(key)
    with pytest.raises(UserError, match="was changed after the study was drawn"):
        read_folder(read.reading(NAME), key)
    with pytest.raises(UserError, match="expected an observer for each"):
        simulate(read.reading(NAME), read.reading_key(NAME), {"R1": OBSERVERS["R1"]})
