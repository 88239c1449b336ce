"""A reader goes forward only: no request, and no statement to the database, shows or changes another place."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from reading_clients import Client, links_of, request_id
from reading_folders import reading_folder
from reading_servers import Process, Served

from mammogan.reader.serving.store import MOST_EVENTS


@pytest.fixture
def reader(served: Served) -> Client:
    """At the first image of session 2, which was shown."""
    made = served.reader()
    made.finish(1)
    made.begin(2)
    assert made.image(2, 0).status_code == 200
    return made


def answers(served: Served) -> list[tuple[int, int, str]]:
    return [(row[1], row[3], row[5]) for row in served.store.answers()]


def test_the_next_image_is_the_only_one_that_is_shown(reader: Client) -> None:
    assert [reader.image(2, position).status_code for position in (1, 2, 99)] == [409, 409, 409]
    assert reader.answer(2, 0).status_code == 200
    assert [reader.image(2, position).status_code for position in (0, 1)] == [409, 200]
    assert reader.http.get("/session/2/image/-1/0").status_code == 404
    assert reader.image(2, 1, panel=1).status_code == 404


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 20, "9" * 7])
def test_a_number_of_any_length_in_an_address_is_no_image(reader: Client, number: str) -> None:
    paths = (f"/practice/{number}", f"/session/{number}/state", f"/session/{number}/image/0/0")
    paths += (f"/session/2/image/{number}/0", f"/session/2/image/0/{number}")
    assert {reader.http.get(path).status_code for path in paths} == {404}


def test_what_came_without_pixels_was_not_shown(reader: Client, served: Served) -> None:
    assert reader.answer(2, 0).status_code == 200
    assert reader.image(2, 1, panel=7).status_code == 404
    assert reader.http.head("/session/2/image/1/0").status_code == 405
    assert reader.answer(2, 1).status_code == 409, "not shown yet"
    assert reader.image(2, 1).status_code == reader.answer(2, 1).status_code == 200


@pytest.mark.parametrize(("lost", "told"), [(False, "is not as it was drawn"), (True, "cannot read an image")])
def test_an_image_that_is_not_the_drawn_one_is_not_shown_and_reading_goes_on_once_it_is_back(
    reader: Client, served: Served, caplog: pytest.LogCaptureFixture, lost: bool, told: str
) -> None:
    assert reader.answer(2, 0).status_code == 200
    name = served.plan.order_of("R1", 2)[1].images[0]
    file, another = served.folder.image(name), served.folder.image(served.plan.practice[0])
    drawn = file.read_bytes()
    file.unlink()
    if not lost:
        file.write_bytes(another.read_bytes())
    refused = reader.image(2, 1)
    assert refused.status_code == 500 and told in refused.json()["error"] and "coordinator" in refused.json()["error"]
    assert str(file) in caplog.text and reader.answer(2, 1).status_code == 409, "not shown yet"
    other = served.reader("R2")
    other.finish(1)
    other.begin(2)
    assert {other.image(2, 0).status_code} == {200 if served.plan.order_of("R2", 2)[0].images[0] != name else 500}
    file.write_bytes(drawn)
    shown = reader.image(2, 1)
    assert shown.status_code == 200 and shown.content == drawn and reader.answer(2, 1).status_code == 200


def test_no_panel_of_a_triplet_is_shown_if_one_is_not_as_it_was_drawn(reader: Client, served: Served) -> None:
    for session in (2, 3):
        reader.finish(session)
    reader.begin(4)
    first, _, difference = (served.folder.image(one) for one in served.plan.order_of("R1", 4)[0].images)
    difference.write_bytes(first.read_bytes())
    assert [reader.image(4, 0, panel).status_code for panel in range(3)] == [500, 500, 500]
    assert reader.answer(4, 0, None).status_code == 409, "not shown yet"


def test_a_practice_image_that_is_not_the_drawn_one_is_not_shown(reader: Client, served: Served) -> None:
    served.folder.image(served.plan.practice[0]).write_bytes(b"cut")
    assert reader.http.get("/practice/0").status_code == 500


def test_an_answer_is_given_once_and_to_what_was_shown(reader: Client, served: Served) -> None:
    assert reader.answer(2, 1).status_code == 409, "skipped ahead"
    assert reader.answer(2, 0, "not real").status_code == 200
    assert reader.answer(2, 0, "real").status_code == 409, "changed afterwards"
    assert reader.answer(2, 1).status_code == 409, "not shown yet"
    assert answers(served)[-1] == (2, 0, "not real")


def test_the_same_request_twice_is_one_answer(reader: Client, served: Served) -> None:
    request = request_id()
    assert [reader.answer(2, 0, "real", request=request).status_code for _ in range(2)] == [200, 200]
    assert reader.answer(2, 0, "unsure", request=request).status_code == 409
    reader.image(2, 1)
    again = reader.answer(2, 1, "real", request=request)
    assert (again.status_code, again.json()["error"]) == (409, "this request was an answer to another image")
    assert answers(served)[-1] == (2, 0, "real")


def test_sessions_come_in_their_order_and_are_over_when_they_are_finished(reader: Client, served: Served) -> None:
    assert reader.event(3, "begin") == 409
    assert reader.http.get("/session/4/state").status_code == 409, "what a later session shows is not told before"
    assert [reader.image(session, 0).status_code for session in (1, 3, 9)] == [409, 409, 404]
    assert reader.answer(1, 0, None).status_code == 409
    for position in (0, 1):
        assert reader.image(2, position).status_code == reader.answer(2, position).status_code == 200
    assert reader.answer(2, 1, "unsure").status_code == 409
    assert reader.answer(2, 2).status_code == 409
    assert (reader.me()["step"], reader.me()["session"]["number"]) == ("begin", 3)


def test_nothing_is_shown_before_consent_and_start(served: Served) -> None:
    made = served.reader()
    assert made.me()["step"] == "consent" and made.image(1, 0).status_code == 409
    assert made.event(1, "begin") == 409
    assert made.event(1, "consent") == 200
    assert made.me()["step"] == "begin" and made.image(1, 0).status_code == 409
    assert made.event(1, "begin") == 200 and made.me()["step"] == "read"
    assert made.image(1, 0).status_code == 200


NEVER_SENT: list[dict[str, object]] = [
    {"answer": "fake"}, {"answer": None}, {"answer": "seen"}, {"answer": ["real"]}, {"position": "0"},
    {"position": True}, {"position": -1}, {"position": 0.0}, {"request": "zz"}, {"request": "00"}, {"request": 7},
    {"client": {"ms": 10**400, "away_ms": 0}}, {"position": 10**400},
    {"client": None}, {"client": {"ms": "1", "away_ms": 0}}, {"client": {"ms": -1, "away_ms": 0}},
    {"client": {"ms": 1}}, {"client": {"ms": 1, "away_ms": 0, "x": "y" * 3000}}, {"cancer": "yes"},
]  # fmt: skip


def test_what_the_page_never_sends_is_refused(reader: Client, served: Served) -> None:
    before = answers(served)
    codes = [reader.answer(2, 0, **values).status_code for values in NEVER_SENT]
    assert codes == [400] * len(NEVER_SENT)
    assert answers(served) == before


DETAILS = [
    '{"renderer": "\\ud800"}', '{"renderer": "\\u0000"}', '{"renderer": "abacus"}', '{"renderer": ["canvas"]}',
    '{"browser": "\\udfff"}', '{"browser": [{"\\u0000": 1}]}', '{"\\ud800": 1}', '{"browser": "\ud800"}',
]  # fmt: skip


@pytest.mark.parametrize("details", DETAILS)
def test_a_viewer_or_text_that_the_page_never_sends_is_refused(reader: Client, served: Served, details: str) -> None:
    body = f'{{"kind": "display", "position": null, "details": {details}}}'.encode("utf-8", "surrogatepass")
    headers = {"content-type": "application/json"}
    assert reader.http.post("/session/2/event", content=body, headers=headers).status_code == 400
    assert served.store.last_event(1)[1] != "display"
    assert reader.event(2, "display", renderer="canvas", browser="\U0001f600") == 200


def test_nothing_is_asked_where_the_reader_only_looks(served: Served) -> None:
    made = served.reader()
    made.begin(1)
    made.image(1, 0)
    assert made.answer(1, 0, "real").status_code == 400
    assert made.answer(1, 0, None).status_code == 200
    assert answers(served) == [(1, 0, "seen")]


def test_one_reader_cannot_fill_the_disk_with_events_and_goes_on_reading(reader: Client, served: Served) -> None:
    flood = """with recursive one(k) as (select 1 union all select k + 1 from one where k < ?)
        insert into event (reader, session, kind, at_ms, details) select 1, 2, 'heartbeat', 0, '{}' from one"""
    served.store._database.execute(flood, (MOST_EVENTS,))
    assert [reader.event(2, kind, 0, ms=1, away_ms=0) for kind in ("heartbeat", "pause", "display")] == [429] * 3
    assert served.reader("R2").event(1, "display") == 200, "another reader"
    for position in (0, 1):
        assert reader.image(2, position).status_code == reader.answer(2, position).status_code == 200
    reader.begin(3)
    assert reader.image(3, 0).status_code == reader.answer(3, 0).status_code == 200


def test_consent_and_begin_are_kept_once(reader: Client, served: Served) -> None:
    for kind in ("consent", "begin", "begin"):
        assert reader.event(2, kind) == 200
    counted = "select kind, count(*) from event where session = 2 and kind in ('consent', 'begin') group by kind"
    assert served.store._database.execute(counted).fetchall() == [("begin", 1)], "consent came in session 1"


def test_a_reader_is_nobody_else(reader: Client, served: Served) -> None:
    other = served.reader("R2")
    assert other.me()["reader"] == "R2" and other.me()["session"]["number"] == 1
    assert other.image(2, 0).status_code == 409
    other.http.cookies.set("reader", "x" * 43)
    stranger = served.browser()
    for http in (stranger, stranger):
        assert http.get("/session/2/image/0/0").status_code == http.get("/me").status_code == 403
    stranger.cookies.set("reader", "tampered")
    assert stranger.get("/me").status_code == 403


def test_a_page_of_one_reader_is_refused_when_the_browser_has_opened_anothers_link(
    reader: Client, served: Served
) -> None:
    before, page_of_r1 = answers(served), {"x-reader": reader.me()["reader"]}
    assert reader.http.get("/session/2/state", headers=page_of_r1).status_code == 200
    Client(reader.http, links_of(served.folder)["R2"])
    reader.begin(1)
    answer = {"position": 0, "answer": None, "request": request_id(), "client": {"ms": 1, "away_ms": 0}}
    event = {"kind": "heartbeat", "position": 0, "details": {"ms": 1, "away_ms": 0}}
    refused = [
        *(reader.http.get(path, headers=page_of_r1) for path in ("/me", "/practice/0", "/session/1/state")),
        reader.http.get("/session/1/image/0/0", headers=page_of_r1),
        reader.http.post("/session/1/answer", json=answer, headers=page_of_r1),
        reader.http.post("/session/1/event", json=event, headers=page_of_r1),
    ]
    assert [one.status_code for one in refused] == [409] * 6
    assert all("open your own link again" in one.json()["error"] for one in refused)
    assert reader.answer(1, 0, None).status_code == 409 and answers(served) == before, "not even shown"


def test_of_32_answers_at_once_one_is_stored(folder_process: Process) -> None:
    reader = folder_process.reader()
    reader.begin(1)
    reader.image(1, 0)

    def answer(number: int) -> int:
        return reader.answer(1, 0, ("real", "not real", "unsure")[number % 3]).status_code

    with ThreadPoolExecutor(32) as pool:
        codes = list(pool.map(answer, range(32)))
    assert sorted(codes) == [200] + [409] * 31
    assert reader.state(1)["done"] == 1


@pytest.fixture
def folder_process(tmp_path: Path):  # type: ignore[no-untyped-def]
    made = Process(reading_folder(tmp_path / "reading", counts=(3,), kinds=("blind",)))
    yield made
    made.kill()


STATEMENTS = [
    "update answer set answer = 'unsure'",
    "delete from answer",
    "insert or replace into answer select reader, session, position, images, 'unsure', null, null, null, "
    "zeroblob(16), 1, 1, 1, 1, '' from answer where session = 2",
    "insert into answer select reader, session, position + 2, images, 'real', null, null, null, zeroblob(16), "
    "1, 1, 1, 1, '' from answer where session = 2",
    "update shown set at_ms = 0",
    "delete from shown",
    "insert or replace into shown select reader, session, position, 0 from shown where session = 2 and position = 1",
    "insert into shown values (1, 3, 0, 0)",
    "update event set kind = 'x'",
    "delete from event",
    "insert or replace into event (id, reader, kind, at_ms, details) values (1, 1, 'x', 0, '')",
    "update place set images = 'x'",
    "delete from place",
    "insert into place values (1, 2, 99, 'x')",
    "insert or replace into place values (1, 2, 0, 'x')",
    "update session set kind = 'known'",
    "insert into session values (9, 'blind')",
    "delete from study",
    "delete from reader",
]
"""Each would change the past of a reader who has answered the first image of session 2 and sees the second."""


def test_the_database_itself_refuses_to_change_the_past(reader: Client, served: Served) -> None:
    assert reader.answer(2, 0).status_code == 200
    assert reader.image(2, 1).status_code == 200
    with sqlite3.connect(served.folder.path / "reading.sqlite") as database:
        before = list(database.iterdump())
        for statement in STATEMENTS:
            with pytest.raises(sqlite3.IntegrityError):
                database.execute(statement)
        assert list(database.iterdump()) == before
