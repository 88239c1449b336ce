"""Nothing but pixels reaches a reader, and no other web page reaches the server."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from reading_clients import Client, links_of
from reading_folders import reading_folder
from reading_servers import Process, Served
from sklearn.metrics import roc_auc_score

from mammogan.io.atomic import sha256, write_json


@pytest.fixture
def reader(served: Served) -> Client:
    made = served.reader()
    made.begin(1)
    return made


TELLING = {"date", "server", "etag", "last-modified", "server-timing", "content-encoding", "accept-ranges", "age"}


def test_the_responses_to_all_images_differ_in_their_pixels_only(served: Served) -> None:
    reader, seen = served.reader(), []
    for session, total in zip(range(1, 6), (2, 2, 3, 2, 3), strict=True):
        reader.begin(session)
        for position in range(total):
            panels = reader.state(session)["panels"]
            seen += [reader.image(session, position, panel) for panel in range(panels)]
            reader.answer(session, position, "real" if session in (2, 3, 5) else None)
    assert len(seen) == 2 + 2 + 3 + 6 + 3
    assert {tuple(sorted(one.headers.items())) for one in seen} == {tuple(sorted(seen[0].headers.items()))}
    assert {len(one.content) for one in seen} == {2 * 96 * 64}
    assert not TELLING & {name.lower() for name in seen[0].headers}
    assert len({one.content for one in seen}) == len(seen)


def test_a_response_says_nothing_of_time_or_server_over_a_real_connection(process: Process) -> None:
    reader = process.reader()
    reader.begin(1)
    headers = {"accept-encoding": "gzip, zstd, br", "range": "bytes=0-9", "if-none-match": "*"}
    response = reader.http.get("/session/1/image/0/0", headers=headers)
    assert (response.status_code, len(response.content)) == (200, 2 * 96 * 64)
    assert not TELLING & {name.lower() for name in response.headers}
    for path in ("/", "/static/read.js", "/me", "/nothing", "/session/9/state"):
        assert not TELLING & {name.lower() for name in reader.http.get(path).headers}


def test_the_time_of_a_response_says_nothing(tmp_path: Path) -> None:
    folder = reading_folder(tmp_path / "reading", practice=40, size=(576, 448))
    plan = folder.load()
    for name in plan.practice[::2]:  # half of them as a generator makes them: no zeros at all
        path = folder.image(name)
        path.write_bytes(np.maximum(np.fromfile(path, "<u2"), 3).tobytes())
    images = tuple(replace(image, sha256=sha256(folder.image(image.name))) for image in plan.images)
    write_json(folder.plan_file, replace(plan, images=images).to_json())
    process = Process(folder)
    reader, order = process.reader(), [*range(40)] * 10
    random.Random(0).shuffle(order)
    took = []
    for position in order:
        start = time.perf_counter()
        assert reader.http.get(f"/practice/{position}").status_code == 200
        took.append(time.perf_counter() - start)
    process.kill()
    assert 0.4 < roc_auc_score([position % 2 for position in order], took) < 0.6


def test_the_serving_process_has_no_key_and_no_heavy_package(tmp_path: Path) -> None:
    folder = reading_folder(tmp_path / "work" / "reading" / "study")
    key = tmp_path / "work" / "private" / "reading-study" / "key.json"
    key.parent.mkdir(parents=True)
    key.write_text("the truth")
    process = Process(folder)
    reader = process.reader()
    reader.finish(1)
    of_process = Path(f"/proc/{process.process.pid}")
    files = {str(link.readlink()) for link in (of_process / "fd").iterdir()}
    assert any(file.endswith("reading.sqlite") for file in files)
    assert not any("private" in file or "key" in file for file in files)
    mapped = (of_process / "maps").read_text()
    assert "sqlite" in mapped and not any(name in mapped for name in ("torch", "numpy", "scipy"))
    process.kill()


def test_the_page_loads_nothing_from_elsewhere_and_cannot_be_framed(reader: Client) -> None:
    policy = reader.http.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    for path in ("/", "/me", "/nothing", "/session/1/image/0/0"):
        headers = reader.http.get(path).headers
        assert headers["cache-control"] == "no-store" and headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/static/..%2f..%2fplan.py", "/static/..%2freading.sqlite", "/static/%2e%2e/serve.py", "/static/read.html",
        "/static/coordinator.html.jinja", "/images", "/reading.json", "/reading.sqlite", "/links.csv", "/static/",
        "/enter/", "/docs", "/openapi.json",
    ],
)  # fmt: skip
def test_no_file_but_the_pages_own_is_served(reader: Client, path: str) -> None:
    assert reader.http.get(path).status_code == 404


def test_requests_of_other_pages_change_nothing(reader: Client, served: Served) -> None:
    del reader.http.headers["origin"]
    url, event = "/session/1/event", {"kind": "begin", "position": None, "details": {}}
    foreign: list[dict[str, str]] = [
        {}, {"origin": "null"}, {"origin": "http://evil.example"}, {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8000"}, {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ]  # fmt: skip
    assert [reader.http.post(url, json=event, headers=headers).status_code for headers in foreign] == [403] * 7
    own = {"sec-fetch-site": "same-origin"}
    assert reader.http.post(url, content="kind=begin", headers=own).status_code == 400, "a form is no JSON"
    assert reader.http.post(url, json=event, headers=own).status_code == 200


def test_a_body_that_is_too_large_is_not_read(reader: Client) -> None:
    assert reader.event(1, "display", x="y" * 20_000) == 413
    assert reader.event(1, "display", x="y" * 3_000) == 400
    nested = {"content": b"[" * 10_000, "headers": {"content-type": "application/json"}}
    assert reader.http.post("/session/1/event", **nested).status_code == 400


def test_a_name_that_is_not_the_servers_is_refused(served: Served) -> None:
    browser = served.browser()
    hosts = {"127.0.0.1:8000": 200, "localhost": 200, "[::1]:8000": 200, "10.1.2.3": 200, "evil.example": 421, "": 421}
    assert {host: browser.get("/", headers={"host": host}).status_code for host in hosts} == hosts


def test_links_are_private_and_only_hashes_are_stored(served: Served) -> None:
    file = served.folder.path / "links.csv"
    assert file.stat().st_mode & 0o777 == (served.folder.path / "reading.sqlite").stat().st_mode & 0o777 == 0o600
    bytes_of_database = (served.folder.path / "reading.sqlite").read_bytes()
    bytes_of_database += (served.folder.path / "reading.sqlite-wal").read_bytes()
    tokens = [link.rpartition("/")[2] for link in links_of(served.folder).values()]
    assert len(set(tokens)) == 3 and all(len(token) == 43 for token in tokens)
    assert not any(token.encode() in bytes_of_database for token in tokens)


def test_nothing_that_serves_imports_the_key_or_anything_heavy() -> None:
    modules = [f"mammogan.reader.serving.{path.stem}" for path in (ROOT / "mammogan/reader/serving").glob("*.py")]
    program = f"import sys, {', '.join(modules)}\nprint(*sorted(sys.modules))"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    imported = set(told.stdout.split())
    assert "mammogan.reader.serving.server" in imported
    assert not imported & {"mammogan.reader.key", "mammogan.reader.drawing.draw", "torch", "numpy", "scipy", "pydicom"}
