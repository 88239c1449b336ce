"""What was confirmed is stored: through kill -9, power cuts, full disks and restarts; what is not stored says so."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from reading_clients import Client, links_of, request_id
from reading_folders import reading_folder
from reading_servers import Process, Served

from mammogan.errors import UserError
from mammogan.reader.folder import ReadingFolder
from mammogan.reader.serving.database import DATABASE, connect, lock, network_file_system
from mammogan.reader.serving.store import Answer, Clock, Refused, Store

KILLS = int(os.environ.get("MAMMOGAN_KILLS", "25"))
"""How often the server is killed; each costs a start of the server, about a second."""
ONE = {"kinds": ("blind",), "readers": 1, "practice": 0, "consent": ""}


def stored(folder: ReadingFolder) -> dict[int, str]:
    with closing(sqlite3.connect(folder.path / DATABASE)) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        return dict(database.execute("select position, answer from answer"))


def patient_answer(reader: Client, position: int, word: str) -> None:
    """As the page does: the same request until the server responds."""
    request = request_id()
    while True:
        try:
            assert reader.image(1, position).status_code in (200, 409)
            assert reader.answer(1, position, word, request=request).status_code == 200
            return
        except httpx2.HTTPError:
            time.sleep(0.05)


def test_no_confirmed_answer_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    total, chance = 20 * KILLS, random.Random(0)
    folder = reading_folder(tmp_path / "reading", counts=(total,), **ONE)  # type: ignore[arg-type]
    process, confirmed = Process(folder), dict[int, str]()
    reader, done = process.reader(), threading.Event()
    reader.begin(1)

    def read() -> None:
        for position in range(total):
            word = chance.choice(("real", "not real", "unsure"))
            patient_answer(reader, position, word)
            confirmed[position] = word
        done.set()

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    kills = 0
    while kills < KILLS and not done.is_set():
        time.sleep(random.uniform(0.05, 0.6))
        process.kill()
        kills += 1
        process.start()
    assert done.wait(120) and kills
    process.kill()
    assert stored(folder) == confirmed and len(confirmed) == total


def test_a_copy_at_any_instant_opens_with_every_confirmed_answer(tmp_path: Path) -> None:
    total, chance = 400, random.Random(1)
    folder = reading_folder(tmp_path / "reading", counts=(total,), size=(8, 8), **ONE)  # type: ignore[arg-type]
    store = Store(connect(folder.path / DATABASE, folder.load()))
    store.event(1, 1, None, "begin", {})
    confirmed, stop = [0], threading.Event()

    def read() -> None:
        for position in range(total):
            store.show(1, 1, position)
            store.answer(1, 1, Answer(position, "real", os.urandom(16), {"ms": 1, "away_ms": 0}))
            confirmed[0] = position + 1
            if stop.is_set():
                return

    reading = threading.Thread(target=read)
    reading.start()
    for cut in range(20):
        time.sleep(chance.uniform(0.005, 0.03))
        copy = tmp_path / f"cut{cut}"
        copy.mkdir()
        with store._lock:  # a power cut freezes both files at one instant
            before = confirmed[0]
            for name in (DATABASE, f"{DATABASE}-wal"):
                shutil.copyfile(folder.path / name, copy / name)
        torn = bool(cut % 2)
        if torn:
            log = copy / f"{DATABASE}-wal"
            os.truncate(log, max(0, log.stat().st_size - chance.randrange(1, 3000)))
        found = stored(ReadingFolder(copy))
        assert sorted(found) == list(range(len(found))), "a hole"
        assert torn or len(found) >= before
    stop.set()
    reading.join()
    store.close()


def test_every_commit_reaches_the_disk_before_it_returns(served: Served) -> None:
    """What a power cut does to a real disk cannot be tried here; SQLite's promise rests on these two settings."""
    database = served.store._database
    assert database.execute("pragma synchronous").fetchone() == (2,), "FULL"
    assert database.execute("pragma journal_mode").fetchone() == ("wal",)


def fill_up(reader: Client, folder: ReadingFolder) -> tuple[int, httpx2.Response]:
    """Answer until the server refuses; return how many were confirmed, and its response."""
    for position in range(reader.state(1)["total"]):
        response = reader.image(1, position)
        if response.status_code == 200:
            response = reader.answer(1, position)
        if response.status_code != 200:
            return position, response
    raise AssertionError("the disk was never full")


def test_when_the_database_can_grow_no_more_the_answer_is_refused_with_words(tmp_path: Path) -> None:
    folder = reading_folder(tmp_path / "reading", counts=(60,), size=(8, 8), **ONE)  # type: ignore[arg-type]
    served = Served(folder)
    reader = served.reader()
    reader.begin(1)
    pages = served.store._database.execute("pragma page_count").fetchone()[0]
    served.store._database.execute(f"pragma max_page_count = {pages + 1}")
    confirmed, response = fill_up(reader, folder)
    assert response.status_code == 507 and "disk is full" in response.json()["error"]
    assert len(stored(folder)) == confirmed
    served.store._database.execute("pragma max_page_count = 100000")
    patient_answer(reader, confirmed, "unsure")
    assert stored(folder)[confirmed] == "unsure", "space was made, and reading goes on"
    served.store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB in memory."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {made.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_on_a_full_disk_nothing_confirmed_is_lost_and_reading_goes_on_when_there_is_space(small_disk: Path) -> None:
    folder = reading_folder(small_disk / "reading", counts=(60,), size=(8, 8), **ONE)  # type: ignore[arg-type]
    served = Served(folder)
    reader = served.reader()
    reader.begin(1)
    filler = small_disk / "filler"
    with open(filler, "wb") as file, pytest.raises(OSError):
        while True:
            os.write(file.fileno(), bytes(4096))
    confirmed, response = fill_up(reader, folder)
    assert response.status_code == 507 and "disk is full" in response.json()["error"]
    filler.unlink()
    assert len(stored(folder)) == confirmed
    patient_answer(reader, confirmed, "not real")
    assert stored(folder)[confirmed] == "not real"
    served.store.close()


def test_while_another_program_keeps_the_database_the_page_is_told_to_try_again(served: Served) -> None:
    reader = served.reader()
    reader.begin(1)
    with sqlite3.connect(served.folder.path / DATABASE, isolation_level=None) as other:
        other.execute("begin immediate")
        response = reader.image(1, 0)
        assert response.status_code == 503 and "busy" in response.json()["error"]
        other.execute("rollback")
    assert reader.image(1, 0).status_code == 200


def test_after_a_restart_a_reader_is_where_they_were(process: Process) -> None:
    reader = process.reader()
    reader.finish(1)
    reader.begin(2)
    reader.image(2, 0)
    reader.event(2, "heartbeat", 0, ms=2000, away_ms=0)
    before = reader.me()
    process.kill()
    process.start()
    assert reader.me() == before and before["step"] == "read"
    spent = reader.state(2)["spent"]
    assert 0 < spent["ms"] <= 2000 and spent["away_ms"] >= 0, "the clock goes on where it was last reported"


def test_a_reported_time_cannot_exceed_the_servers_own(served: Served) -> None:
    reader = served.reader()
    reader.begin(1)
    reader.image(1, 0)
    reader.event(1, "heartbeat", 0, ms=10_000_000, away_ms=0)
    assert reader.state(1)["spent"]["ms"] < 60_000


def test_times_never_run_backwards_even_if_the_machines_clock_is_set_back() -> None:
    ahead = time.time_ns() // 1_000_000 + 3_600_000
    clock = Clock(ahead)
    times = [clock.now() for _ in range(100)]
    assert times == sorted(times) and times[0] >= ahead


def test_two_servers_cannot_have_one_folder(process: Process) -> None:
    with pytest.raises(UserError, match="being served already"):
        lock(process.folder.path)
    process.kill()
    lock(process.folder.path).close()


def test_answers_of_another_drawing_are_not_taken_over(folder: ReadingFolder, tmp_path: Path) -> None:
    other = reading_folder(tmp_path / "other")
    connect(other.path / DATABASE, other.load()).close()
    shutil.copyfile(other.path / DATABASE, folder.path / DATABASE)
    with pytest.raises(UserError, match="another drawing"):
        connect(folder.path / DATABASE, folder.load())


def test_a_damaged_database_is_refused_and_kept(folder: ReadingFolder) -> None:
    file = folder.path / DATABASE
    connect(file, folder.load()).close()
    damaged = bytearray(file.read_bytes())
    damaged[4096:12288] = os.urandom(8192)
    file.write_bytes(damaged)
    with pytest.raises(UserError, match="cannot be used"):
        connect(file, folder.load())
    assert file.read_bytes() == bytes(damaged)


def test_a_crash_while_the_database_is_made_leaves_an_empty_one_that_is_filled(folder: ReadingFolder) -> None:
    (folder.path / DATABASE).touch()
    store = Store(connect(folder.path / DATABASE, folder.load()))
    assert [status.total for status in store.sessions(1)] == [2, 2, 3, 2, 3]
    store.close()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("server:/home /study nfs4 rw 0 0", "nfs4"),
        ("//server/share /study cifs rw 0 0", "cifs"),
        ("user@server: /study fuse.sshfs rw 0 0", "fuse.sshfs"),
        ("/dev/sdb1 /study ext4 rw 0 0", ""),
        ("server:/home /stud nfs4 rw 0 0", ""),
    ],
)
def test_network_file_systems_are_known(tmp_path: Path, line: str, found: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\n{line}\nproc /proc proc rw 0 0\n")
    assert network_file_system(Path("/study/reading"), mounts) == found


def test_the_store_refuses_what_the_server_would_not_ask(served: Served) -> None:
    with pytest.raises(Refused, match="not begun"):
        served.store.show(1, 1, 0)
    assert links_of(served.folder).keys() == {"coordinator", "R1", "R2"}
