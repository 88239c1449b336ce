"""The coordinator sees how far the readers are, ends and renews links, and exports answers without truth."""

from __future__ import annotations

import csv
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from conftest import ROOT
from reading_clients import Client, links_of
from reading_folders import reading_folder
from reading_servers import Process, Served

from mammogan.reader.folder import ReadingFolder
from mammogan.reader.plan import Phantoms
from mammogan.reader.serving.progress import export
from mammogan.reader.serving.serve import Options, address, hosts


@pytest.fixture
def coordinator(served: Served) -> httpx2.Client:
    http = served.browser()
    http.headers["origin"] = served.address
    token = links_of(served.folder)["coordinator"].rpartition("/")[2]
    assert http.get(f"/coordinator/enter/{token}").status_code == 200
    return http


def serve(folder: ReadingFolder, *words: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, ROOT / "launch" / "serve_reading.py", folder.path, *words]
    return subprocess.run([*map(str, line)], capture_output=True, text=True, timeout=120)


def test_a_folder_whose_images_were_exchanged_or_damaged_is_not_served(folder: ReadingFolder) -> None:
    one, another, third = (folder.image(image.name) for image in folder.load().images[:3])
    content = one.read_bytes()
    one.write_bytes(another.read_bytes())
    another.write_bytes(content)
    third.write_bytes(bytes(len(content)))
    refused = serve(folder)
    assert refused.returncode == 2 and "3 faults in all; copy the folder again" in refused.stderr
    for file in (one, another, third):
        assert f"{file.name} was changed after the study was drawn" in refused.stderr
    assert "images compared: " in refused.stdout and not (folder.path / "links.csv").exists()


def test_progress_is_shown_without_answers(served: Served, coordinator: httpx2.Client) -> None:
    assert "not begun" in coordinator.get("/coordinator").text
    reader = served.reader()
    reader.finish(1)
    reader.begin(2)
    reader.image(2, 0)
    reader.answer(2, 0, "not real")
    shown = coordinator.get("/coordinator").text
    assert "1 of 2, 0.0 min" in shown and "2 of 2" in shown and "reading" in shown
    assert "not real" not in shown and "unsure" not in shown
    reader.event(2, "pause", 1, ms=1, away_ms=0)
    assert "<td>break</td>" in coordinator.get("/coordinator").text


def test_minutes_are_never_more_than_passed_on_the_servers_clock(served: Served, tmp_path: Path) -> None:
    reader = served.reader()
    reader.begin(1)
    reader.image(1, 0)
    reader.answer(1, 0, None, client={"ms": 1e9, "away_ms": 1e9})
    assert served.store.minutes(1)[1] < 1
    export(served.store, tmp_path / "answers.csv")
    assert "1000000000,1000000000" in (tmp_path / "answers.csv").read_text(), "as sent"


def test_simulated_readers_do_not_wait_so_their_own_clock_counts(tmp_path: Path) -> None:
    served = Served(reading_folder(tmp_path / "reading", simulated=True))
    reader = served.reader()
    reader.begin(1)
    reader.image(1, 0)
    reader.answer(1, 0, None, client={"ms": 90_000, "away_ms": 0})
    assert served.store.minutes(1) == {1: 1.5}
    served.store.close()


def test_simulated_readers_are_marked_everywhere(tmp_path: Path) -> None:
    served = Served(reading_folder(tmp_path / "reading", simulated=True))
    reader = served.reader()
    assert "simulated readers" in reader.me()["banner"]
    reader.begin(1)
    reader.image(1, 0)
    reader.answer(1, 0, None)
    assert served.store.answers()[0][-1] == "1"
    served.store.close()


def test_readers_of_phantoms_are_told_so_before_and_above_every_image(tmp_path: Path) -> None:
    phantoms = Phantoms("phantom mammograms, lesion contrast x12.5")
    served = Served(reading_folder(tmp_path / "reading", phantoms=phantoms))
    reader, banners, told = served.reader(), set(), []
    for session in (1, 2):
        told.append(reader.me()["session"]["instructions"])
        reader.begin(session)
        for position in range(2):
            banners.add(reader.me()["banner"])
            reader.image(session, position)
            reader.answer(session, position, "not real" if session == 2 else None)
    assert len(banners) == 1 and "Phantoms drawn by a program, no patient was imaged" in banners.pop()
    assert all(text.startswith("The mammograms of this study are phantoms") for text in told)
    assert all(text.endswith("Look at the images.\n\nTake your time.") for text in told)
    served.store.close()


def test_readers_of_a_mix_are_told_that_some_are_phantoms_and_readers_of_patients_are_not(tmp_path: Path) -> None:
    mixed = Served(reading_folder(tmp_path / "mixed", phantoms=Phantoms("a mix of both", and_patients=True)))
    assert "some are phantoms drawn by a program" in mixed.reader().me()["banner"]
    assert mixed.reader().me()["session"]["instructions"].startswith("Some mammograms of this study are phantoms")
    patients = Served(reading_folder(tmp_path / "patients"))
    assert "hantom" not in str(patients.reader().me())
    for served in (mixed, patients):
        served.store.close()


def test_the_page_is_the_coordinators_alone(served: Served, coordinator: httpx2.Client) -> None:
    for http in (served.browser(), served.reader().http):
        assert http.get("/coordinator").status_code == 403
        assert http.post("/coordinator/revoke", data={"reader": "R1"}).status_code == 403
    assert served.browser().get("/coordinator/enter/wrong").status_code == 403
    assert coordinator.get("/me").status_code == 403, "the coordinator is no reader"
    foreign = {"origin": "http://evil.example"}
    assert coordinator.post("/coordinator/revoke", data={"reader": "R1"}, headers=foreign).status_code == 403
    assert coordinator.post("/coordinator/revoke", data={"reader": "R9"}).status_code == 404


def test_a_revoked_link_ends_at_once_and_a_new_one_leads_to_the_same_place(
    served: Served, coordinator: httpx2.Client
) -> None:
    reader = served.reader()
    reader.finish(1)
    assert coordinator.post("/coordinator/revoke", data={"reader": "R1"}).status_code == 303
    assert reader.http.get("/me").status_code == 403 and "R1" not in links_of(served.folder)
    assert "revoked" in coordinator.get("/coordinator").text
    shown = coordinator.post("/coordinator/renew", data={"reader": "R1"}).text
    assert links_of(served.folder)["R1"] in shown
    again = served.reader()
    assert again.me()["session"]["number"] == 2
    coordinator.post("/coordinator/renew", data={"reader": "R1"})
    assert again.http.get("/me").status_code == 403, "a new link ends the old one"


def test_a_stored_viewer_that_cannot_be_shown_does_not_end_the_coordinators_page(
    served: Served, coordinator: httpx2.Client
) -> None:
    served.store.event(1, 1, None, "display", {"renderer": "\ud800"})
    assert coordinator.get("/coordinator").status_code == 200
    assert coordinator.post("/coordinator/renew", data={"reader": "R1"}).status_code == 200
    assert "R1: reading" in serve(served.folder, "--progress").stdout
    assert served.reader().event(1, "display", renderer="webgl2") == 200
    assert "<td>webgl2</td>" in coordinator.get("/coordinator").text


def test_deleting_links_that_were_handed_out_locks_nobody_out(folder: ReadingFolder) -> None:
    first = Served(folder)
    reader = first.reader()
    kept = links_of(folder)["R2"]
    (folder.path / "links.csv").write_text(f"reader,link\nR2,{kept}\n")
    first.links.prepare()
    assert links_of(folder).keys() == {"R2", "coordinator"} and links_of(folder)["R2"] == kept
    assert reader.http.get("/me").status_code == 200
    first.store.close()


def test_answers_are_exported_while_reading_goes_on(process: Process, tmp_path: Path) -> None:
    reader = process.reader()
    reader.finish(1)
    reader.begin(2)
    reader.image(2, 0)
    reader.answer(2, 0, "not real")
    told = serve(process.folder, "--export", tmp_path / "answers.csv", "--progress")
    assert told.returncode == 0, told.stderr
    assert "3 answers" in told.stdout and "R1: reading; sessions 1: 2/2, 2: 1/2" in told.stdout
    with open(tmp_path / "answers.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["session"], row["kind"], row["answer"]) for row in rows] == [
        ("1", "known", "seen"), ("1", "known", "seen"), ("2", "blind", "not real"),
    ]  # fmt: skip
    plan = process.folder.load()
    assert rows[2]["images"] == plan.order_of("R1", 2)[0].images[0] and rows[2]["simulated"] == "0"
    assert int(rows[2]["answered_ms"]) >= int(rows[2]["shown_ms"]) and rows[2]["client_ms"] == "900"
    assert (tmp_path / "answers.csv").stat().st_mode & 0o777 == 0o600
    assert reader.image(2, 1).status_code == 200, "reading goes on"


def test_a_link_is_renewed_and_revoked_from_the_terminal(process: Process) -> None:
    reader = process.reader()
    told = serve(process.folder, "--new-link", "R1", "--port", str(process.port))
    assert told.returncode == 0 and links_of(process.folder)["R1"] in told.stdout
    assert reader.http.get("/me").status_code == 403
    again = process.reader()
    assert serve(process.folder, "--revoke", "R1").returncode == 0
    assert again.http.get("/me").status_code == 403


def test_a_new_link_and_a_revoked_one_leave_the_address_of_all_links(folder: ReadingFolder) -> None:
    Served(folder, "https://reading.example.org").store.close()
    before = links_of(folder)
    told = serve(folder, "--new-link", "R1")
    assert "R1: https://reading.example.org/enter/" in told.stdout, told.stderr
    assert links_of(folder) == before | {"R1": told.stdout.split()[-1]} and links_of(folder)["R1"] != before["R1"]
    assert serve(folder, "--revoke", "R1").returncode == 0
    assert links_of(folder) == {name: link for name, link in before.items() if name != "R1"}


def test_a_new_link_takes_the_address_that_the_options_give(folder: ReadingFolder) -> None:
    Served(folder, "https://reading.example.org").store.close()
    told = serve(folder, "--new-link", "R1", "--names", "other.example.org", "--port", "80")
    assert "R1: http://other.example.org/enter/" in told.stdout, told.stderr
    assert all(link.startswith("http://other.example.org/") for link in links_of(folder).values())


def test_a_new_link_without_a_table_of_links_takes_the_address_of_the_options(folder: ReadingFolder) -> None:
    Served(folder, "https://reading.example.org").store.close()
    (folder.path / "links.csv").unlink()
    assert "R1: http://127.0.0.1:8000/enter/" in serve(folder, "--new-link", "R1").stdout


def refused(told: subprocess.CompletedProcess[str]) -> str:
    assert (told.returncode, "Traceback" in told.stderr) == (2, False), told.stderr
    return told.stderr


def test_what_cannot_be_served_is_said_in_words(folder: ReadingFolder, tmp_path: Path) -> None:
    assert "draw the study" in refused(serve(ReadingFolder(tmp_path)))
    assert "no such reader; the readers are R1, R2" in refused(serve(folder, "--revoke", "R7"))
    assert "nobody has read yet" in refused(serve(folder, "--progress"))
    assert "belong together" in refused(serve(folder, "--certificate", __file__))
    assert "cannot listen" in refused(serve(folder, "--host", "192.0.2.1"))
    folder.image(folder.load().practice[0]).write_bytes(b"short")
    assert "has 5 bytes, 12288 expected" in refused(serve(folder))
    assert not (folder.path / "reading.sqlite").exists()


def test_a_second_server_is_refused_before_it_touches_anything(process: Process) -> None:
    before = (process.folder.path / "links.csv").read_bytes()
    assert "being served already" in refused(serve(process.folder, "--port", "0"))
    assert "cannot listen" in refused(serve(process.folder, "--port", str(process.port)))
    assert (process.folder.path / "links.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"port": 80, "host": "::1"}, "http://[::1]"),
        ({"host": "0.0.0.0", "names": ("reading.example.org",)}, "http://reading.example.org:8000"),
        ({"port": 443, "names": ("a.example", "b.example"), "certificate": Path("c.pem")}, "https://a.example"),
    ],
)
def test_links_begin_with_the_name_by_which_readers_reach_the_server(options: dict[str, object], expected: str) -> None:
    made = Options(Path("reading"), **options)  # type: ignore[arg-type]
    assert address(made) == expected and set(made.names) <= hosts(made)


def test_with_a_certificate_everything_is_encrypted(tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    words = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", *words], check=True, capture_output=True)
    trusted = ssl.create_default_context(cafile=str(certificate))
    folder = reading_folder(tmp_path / "reading")
    process = Process(folder, "--certificate", str(certificate), "--certificate-key", str(key), trusted=trusted)
    link = links_of(folder)["R1"]
    assert link.startswith(f"https://127.0.0.1:{process.port}/enter/")
    reader = Client(httpx2.Client(base_url=process.address, verify=trusted), link)
    assert reader.me()["step"] == "consent"
    cookies = httpx2.get(link, verify=trusted).headers["set-cookie"].lower()
    assert "secure" in cookies and "httponly" in cookies and "samesite=strict" in cookies
    reader.begin(1)
    process.kill()
