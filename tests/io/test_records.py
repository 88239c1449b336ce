"""The package's own JSON and YAML files: what was damaged is said, with the file and what to do."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mammogan.errors import UserError
from mammogan.io.records import (
    EVERY,
    SEAL,
    DamagedRecord,
    Misfit,
    build_entries,
    check_shape,
    parse_record,
    read_record,
    read_yaml_record,
    write_record,
    write_yaml_record,
)

VALUES: dict[str, Any] = {"name": "test-positive-000000.tar", "counts": {"a": 3}, "places": [{"offset": 512}], "p": 0.1}
SHAPE = {"name": str, "counts": {"a": int}, "places": [{"offset": int}], "p": float}


@pytest.fixture
def record(tmp_path: Path) -> Path:
    write_record(tmp_path / "index.json", VALUES)
    return tmp_path / "index.json"


def test_a_record_comes_back_as_it_was_written_without_its_checksum(record: Path) -> None:
    assert read_record(record, SHAPE) == VALUES and SEAL in record.read_text()
    write_record(record, read_record(record))
    assert read_record(record, SHAPE) == VALUES


def test_every_cut_and_every_flipped_bit_of_a_record_is_found_or_changes_nothing(record: Path) -> None:
    content = record.read_bytes()
    for size in range(len(content) - 2):
        record.write_bytes(content[:size])
        with pytest.raises(DamagedRecord, match=r"index.json is damaged: it is (empty|no complete JSON)"):
            read_record(record, SHAPE)
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1
        record.write_bytes(flipped)
        with contextlib.suppress(DamagedRecord):
            assert {k: v for k, v in read_record(record, SHAPE).items() if k in VALUES} == VALUES, place


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is empty"),
        ("\0" * 300, "it holds only zero bytes, as after a power loss"),
        ("null", "expected a mapping, found nothing"),
        ("[]", "expected a mapping, found a list"),
        ('"x"', "expected a mapping, found text"),
        ("{}", "name is missing"),
        ('{"name": 3}', "name: expected text, found a whole number"),
        ('{"name": "x", "counts": {"a": true}}', r"counts.a: expected a whole number, found bool"),
        ('{"name": "x", "counts": {"a": 1}, "places": [{}]}', r"places\[0\].offset is missing"),
        ("[" * 100_000, "no complete JSON"),
    ],
)
def test_what_is_no_record_is_said_with_the_file_and_what_to_do(record: Path, text: str, told: str) -> None:
    record.write_text(text)
    with pytest.raises(UserError, match=rf"index.json is damaged: .*{told}.*\. Delete it and repeat"):
        read_record(record, SHAPE)


def test_bytes_that_are_no_text_are_said_too(record: Path) -> None:
    record.write_bytes(b"\xff\xfe\x00")
    for read in (read_record, read_yaml_record):
        with pytest.raises(DamagedRecord, match="no text in UTF-8"):
            read(record)


def test_a_record_of_zero_bytes_is_said_to_be_one_in_whatever_format_it_was(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(bytes(300))
    with pytest.raises(DamagedRecord, match="it holds only zero bytes, as after a power loss"):
        read_yaml_record(path)
    with pytest.raises(Misfit, match=r"^it holds only zero bytes, as after a power loss$"):
        parse_record(bytes(300))


def test_records_of_earlier_versions_have_no_checksum_and_are_read(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text('{"name": "x"}')
    assert read_record(tmp_path / "old.json", {"name": str}) == {"name": "x"}
    (tmp_path / "old.yaml").write_text("config: {width: 1}\n")
    assert read_yaml_record(tmp_path / "old.yaml", {"config": dict}) == {"config": {"width": 1}}


def test_a_record_whose_checksum_was_taken_out_is_none_of_an_earlier_version(record: Path) -> None:
    lines = record.read_text().splitlines(keepends=True)
    [seal] = [number for number, line in enumerate(lines) if SEAL in line]
    lines[seal - 1] = lines[seal - 1].rstrip(",\n") + "\n"
    record.write_text("".join(lines[:seal] + lines[seal + 1 :]).replace("0.1", "0.2"))
    with pytest.raises(DamagedRecord, match=rf"index.json is damaged: its checksum is missing \({SEAL}\)"):
        read_record(record, SHAPE)


def test_a_record_that_was_sealed_before_records_had_a_format_is_read(record: Path) -> None:
    text = json.dumps(VALUES)
    record.write_text(json.dumps(VALUES | {SEAL: hashlib.sha256(text.encode()).hexdigest()}))
    assert read_record(record, SHAPE) == VALUES


def test_a_yaml_record_whose_checksum_was_taken_out_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    write_yaml_record(path, {"config": {"width": 1}})
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(DamagedRecord, match="it was cut, or changed after it was written"):
        read_yaml_record(path)


def test_every_cut_of_a_yaml_record_is_found_and_its_comments_disturb_no_other_reader(tmp_path: Path) -> None:
    import yaml

    path, values = tmp_path / "config.yaml", {"config": {"width": 0.5, "epochs": [1, 2]}, "shards_sha256": "ab" * 32}
    write_yaml_record(path, values)
    content = path.read_bytes()
    assert read_yaml_record(path) == yaml.safe_load(content) == values
    for size in range(len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(DamagedRecord, match=r"config.yaml is damaged"):
            read_yaml_record(path, {"config": dict})
    path.write_bytes(content.replace(b"0.5", b"0.6"))
    with pytest.raises(DamagedRecord, match="changed after it was written"):
        read_yaml_record(path)


def test_a_yaml_record_that_an_editor_changed_is_refused_wherever_it_left_the_checksum(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    write_yaml_record(path, {"config": {"width": 0.5}})
    edited = path.read_text().replace("0.5", "0.6")
    first, *middle, last = edited.splitlines(keepends=True)
    for text in (
        "\ufeff" + edited,
        "\ufeff" + edited.replace("\n", "\r\n"),
        "# tried by Anna\n" + edited,
        "\n" + edited,
        "  " + edited,
        edited + "# tried by Anna\n",
        "".join([*middle, last]),
        "".join([*middle, first]),
        "".join([*middle, last.upper().replace("# ", "#  ")]),
        first.rstrip() + " Edited.\n" + "".join(middle),
    ):
        path.write_bytes(text.encode())
        with pytest.raises(DamagedRecord, match="it was cut, or changed after it was written"):
            read_yaml_record(path)


def test_a_yaml_record_that_was_only_saved_again_by_a_windows_editor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    write_yaml_record(path, {"config": {"width": 0.5}})
    path.write_bytes(("\ufeff" + path.read_text().replace("\n", "\r\n")).encode())
    assert read_yaml_record(path) == {"config": {"width": 0.5}}


def test_a_shape_may_have_keys_that_are_not_needed_and_one_for_all_keys() -> None:
    shape = {"name?": str, "sums": {EVERY: [int]}}
    check_shape({"sums": {}}, shape)
    check_shape({"name": "x", "sums": {"a": [1], "b": []}}, shape)
    for value, told in (
        ({"name": 3, "sums": {}}, "name: expected text, found a whole number"),
        ({"sums": {"a": [1], "b": ["2"]}}, r"sums\.b\[0\]: expected a whole number, found text"),
        ({"sums": []}, "sums: expected a mapping, found a list"),
        ({}, "sums is missing"),
    ):
        with pytest.raises(Misfit, match=told):
            check_shape(value, shape)


@dataclass(frozen=True)
class Inner:
    right: bool | None


@dataclass(frozen=True)
class Entry:
    name: str
    share: float
    inner: Inner | None = None
    parts: tuple[int, ...] = ()


def test_entries_of_a_record_have_the_types_that_their_dataclass_says(tmp_path: Path) -> None:
    sound = [Entry("a", 0.5, Inner(None)), Entry("b", 1), Entry("c", 0.0, Inner(True), (1,))]
    assert build_entries(tmp_path / "x", lambda entry: entry, sound) == sound
    for wrong, told in (
        (Entry("a", "0.5"), "share: expected a number or a whole number, found text"),  # type: ignore[arg-type]
        (Entry("a", True), "share: expected a number or a whole number, found bool"),
        (Entry(3, 0.5), "name: expected text"),  # type: ignore[arg-type]
        (Entry("a", 0.5, Inner("yes")), "right: expected bool or nothing, found text"),  # type: ignore[arg-type]
    ):
        with pytest.raises(DamagedRecord, match=f"x is damaged: entry 1 is not understood .*{told}"):
            build_entries(tmp_path / "x", lambda entry: entry, [sound[0], wrong])
