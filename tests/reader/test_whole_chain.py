"""A study is drawn, served, read by one person in a browser and by four over HTTP; the tables count what they said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reading_clients import Client, links_of
from reading_servers import Process

from mammogan.reader.config import DrawConfig
from mammogan.reader.drawing.draw_folder import draw_reading
from mammogan.reader.key import ReadingKey
from mammogan.reader.readings import read_folder
from mammogan.reader.report.report import write_report
from mammogan.reader.statistics.answers import Answer
from mammogan.workspace import Workspace
from reader.browsers import WORDS, Screen, chromium, needs_chromium, start

pytestmark = needs_chromium
READERS = ("R1", "R2", "R3", "R4", "R5")
TYPED = "132"
"""What the reader in the browser answers, over and over."""


def read_in_browser(process: Process, totals: dict[int, int], practice: int) -> None:
    """R1 reads all sessions by keyboard, without looking."""
    with chromium() as browser:
        screen = Screen(browser.new_context(viewport={"width": 1200, "height": 800}))
        screen.tab.goto(links_of(process.folder)["R1"])
        for session, total in totals.items():
            start(screen, practice if session == 2 else 0)
            for position in range(total):
                screen.at_place(f"Session {session}: {position + 1} of {total}")
                key = TYPED[position % len(TYPED)]
                screen.press(*((key, key) if session in (2, 3, 5) else ("Enter",)))
        screen.at_page("end")
        assert screen.errors == []


def read_over_http(reader: Client, says: Callable[[int, int], str]) -> None:
    for number in range(1, 6):
        total = reader.state(number)["total"]
        reader.finish(number, [says(number, position) for position in range(total)])


def test_what_five_readers_say_is_what_the_tables_count(
    readable: Workspace, tmp_path: Path, coarse_figures: None
) -> None:
    folder = draw_reading(readable, DrawConfig(readers=READERS, seed=1, scale=0.03))[0]
    plan, key = folder.load(), ReadingKey.load(readable.reading_key("study"))
    role = {image.image: image.role for image in key.images}
    truth = {"real": "real", "fake": "not real"}

    def right(reader: str) -> Callable[[int, int], str]:
        orders = {session.number: plan.order_of(reader, session.number) for session in plan.sessions}
        return lambda session, position: truth.get(role[orders[session][position].images[0]], "real")

    says: dict[str, Callable[[int, int], str]] = {
        "R2": right("R2"),
        "R3": lambda session, position: {"real": "not real", "not real": "real"}[right("R3")(session, position)],
        "R4": lambda *_: "unsure",
        "R5": lambda *_: "real",
    }
    process = Process(folder)
    read_in_browser(process, {session.number: len(session.places) for session in plan.sessions}, len(plan.practice))
    for name, saying in says.items():
        read_over_http(process.reader(name), saying)
    process.kill()

    readings = read_folder(folder.path, readable.reading_key("study"))
    # What is sent over HTTP claims 900 ms for each image, and took less.
    assert all(0 <= answer.milliseconds <= answer.wall_milliseconds for answer in readings.answers)
    typed = {(a.session, a.position): a.answer for a in readings.answers if a.reader == "R1"}
    assert typed == {at: WORDS[TYPED[at[1] % len(TYPED)]] for at in typed}
    assert len(typed) == sum(len(session.places) for session in plan.sessions if session.asks)

    tables = {table.name: table for table in write_report(tmp_path / "report", readings, groups=2)}
    rows = {(r["reader"], r["shown"], r["session"]): r for r in tables["table3"].rows if r["images"] == "all"}
    for session in (3, 5):
        shown = {kind: [a for a in readings.answers if (a.session, a.shown) == (session, kind)] for kind in truth}
        for kind, answers in shown.items():
            half = len(answers) // len(READERS)
            found = {
                reader: (rows[reader, kind, session]["correct"], rows[reader, kind, session]["n"]) for reader in READERS
            }
            assert found["R1"] == (counted(answers, "R1", truth[kind]), half)
            assert [found[reader] for reader in READERS[1:]] == [
                (half, half), (0, half), (0, half), (half if kind == "real" else 0, half),
            ]  # fmt: skip
    assert [row["done"] for row in tables["table4"].rows] == [
        f"{total} of {total}" for _ in READERS for total in (len(session.places) for session in plan.sessions)
    ]
    # Only the first reader is a browser; the answers of the others arrive within milliseconds.
    assert all(float(row["minutes"] or 0) > 0 for row in tables["table4"].rows if row["reader"] == "R1")
    assert "simulated" not in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


def counted(answers: list[Answer], reader: str, word: str) -> int:
    return sum(answer.answer == word for answer in answers if answer.reader == reader)
