"""check_shards: whatever is wrong with shards is found and told."""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import run_script
from dicoms import write_cohort
from edited import edit_record
from in_place_of_a_file import IN_PLACE, put_in_place
from PIL import Image

from mammogan.data.conversion.convert_cohort import ShardIndex, convert_cohort, verify
from mammogan.data.conversion.open_shard import member_places
from mammogan.data.inspect.verify import facts_faults
from mammogan.data.shards.reader import read_sample, read_shard
from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import sha256
from mammogan.workspace import Resolution, Workspace

SIZE, OTHER = Resolution(96, 96), Resolution(128, 96)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("finished")
    convert_cohort(
        write_cohort(root / "cohort", patients=12), Workspace(root / "work"), [SIZE, OTHER], jobs=1, shard_images=3
    )
    return Workspace(root / "work")


@pytest.fixture
def copied(finished: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(finished.root, tmp_path / "work")
    return Workspace(tmp_path / "work")


def tampered_index(work: Workspace, change: Callable[[dict[str, Any]], None]) -> None:
    edit_record(work.shards(SIZE) / "index.json", change)


def test_a_flipped_byte_is_found(copied: Workspace) -> None:
    shard = copied.shards(SIZE) / "train-negative-000000.tar"
    sample = ShardIndex.load(copied.shards(SIZE)).shards[2].samples[1]
    raw = bytearray(shard.read_bytes())
    raw[sample.pixels_offset + sample.pixels_size // 2] ^= 1
    shard.write_bytes(raw)
    faults = "\n".join(verify(copied.shards(SIZE)))
    assert "train-negative-000000.tar: sha256 is not the one in index.json" in faults


def test_a_cut_a_missing_and_a_strange_tar_are_found(copied: Workspace) -> None:
    folder = copied.shards(SIZE)
    cut, gone = folder / "train-negative-000001.tar", folder / "test-positive-000000.tar"
    with tarfile.open(cut) as archive:
        boundary = archive.getmembers()[2].offset
    cut.write_bytes(cut.read_bytes()[:boundary])  # at a member's border, where readers notice nothing
    gone.rename(folder / "stranger.tar")
    faults = "\n".join(verify(folder))
    for part in ("train-negative-000001.tar: ", "test-positive-000000.tar: missing", "stranger.tar: not in index.json"):
        assert part in faults
    assert faults.count("train-negative-000001.tar: ") >= 2 + 4


def test_an_index_for_other_programs_that_lists_something_else_is_found(copied: Workspace) -> None:
    folder = copied.shards(SIZE)
    assert verify(folder) == []
    listed = folder / "wids-train.json"
    listed.write_text(listed.read_text().replace('"nsamples": 3', '"nsamples": 2', 1))
    put_in_place(folder / "wids-test.json", "a link to nothing")
    first, second = verify(folder)
    assert first.startswith("wids-train.json: does not list the shards of index.json. Delete it and index.json")
    assert "wids-test.json: expected a file, found a link to" in second
    (folder / "wids-test.json").unlink()
    listed.unlink()
    assert verify(folder) == []


def test_a_planted_leak_is_found(copied: Workspace) -> None:
    """A test sample is put into the training shard as well, with a consistent index."""
    folder = copied.shards(SIZE)
    donor, target = folder / "test-positive-000000.tar", folder / "train-positive-000000.tar"
    with tarfile.open(donor) as archive:
        members = {m.name: archive.extractfile(m).read() for m in archive.getmembers()[:2]}  # type: ignore[union-attr]
    key = next(iter(members)).split(".")[0]
    facts = json.loads(members[f"{key}.json"])
    members[f"{key}.json"] = json.dumps(facts | {"split": "train"}).encode()
    with tarfile.open(target, "a") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    reindex(copied, target.name, key, facts["patient"])
    (folder / "wids-train.json").unlink()
    faults = verify(folder)
    assert [fault.split(":")[0] for fault in faults] == ["leak", "leak"]
    assert f"patient {facts['patient']} is in test and train" in faults[0]
    assert "same source pixels" in faults[1]


def reindex(work: Workspace, shard_name: str, key: str, patient: str) -> None:
    tar = work.shards(SIZE) / shard_name

    def change(index: dict[str, Any]) -> None:
        shard = next(shard for shard in index["shards"] if shard["name"] == shard_name)
        shard["samples"].append({"key": key, "patient": patient, **member_places(tar)[key]})
        shard.update(count=shard["count"] + 1, bytes=tar.stat().st_size, sha256=sha256(tar))
        index["counts"]["train"]["positive"] += 1

    tampered_index(work, change)


def test_eight_bit_pictures_wrong_counts_and_forbidden_facts_are_found(copied: Workspace) -> None:
    folder = copied.shards(SIZE)
    tar = folder / "test-negative-000000.tar"
    sample = next(shard for shard in ShardIndex.load(folder).shards if shard.name == tar.name).samples[0]
    eight_bit = io.BytesIO()
    Image.new("L", (96, 96), 7).save(eight_bit, "PNG")
    raw = bytearray(tar.read_bytes())
    raw[sample.pixels_offset : sample.pixels_offset + len(eight_bit.getvalue())] = eight_bit.getvalue()
    tar.write_bytes(raw)
    tampered_index(copied, lambda index: index["counts"]["test"].update(positive=99))
    faults = "\n".join(verify(folder))
    assert "expected a 16-bit grey PNG, found mode L" in faults
    assert "counts test positive 99" in faults
    facts = next(read_shard(folder / "train-positive-000000.tar")).facts
    assert list(facts_faults(facts, SIZE)) == []
    assert list(facts_faults(facts | {"PatientID": "x"}, SIZE)) == ["key 'PatientID' is not allowed in the JSON"]
    assert len(list(facts_faults(facts | {"y_cancer": 0, "film": "no"}, OTHER))) == 3


def test_the_exit_code_of_check_shards_shows_faults_and_sound_shards_get_a_sheet(copied: Workspace) -> None:
    (copied.shards(SIZE) / "train-positive-000000.tar").unlink()
    ran = run_script("shards/check_shards.py", "--workspace", copied.root)
    assert ran.returncode == 1 and "FAULT 96x96: train-positive-000000.tar: missing" in ran.stdout, ran.stderr
    assert "128x96: 18 images in" in ran.stdout and "all sound" in ran.stdout
    assert (copied.root / "contact-128x96.png").is_file() and not (copied.root / "contact-96x96.png").exists()


def test_a_picture_that_cannot_be_written_stops_no_check(copied: Workspace) -> None:
    (copied.root / "contact-128x96.png").mkdir()
    ran = run_script("shards/check_shards.py", "--workspace", copied.root)
    assert ran.returncode == 0 and ran.stdout.count("all sound") == 2, ran.stderr
    assert "contact-128x96.png cannot be written" in ran.stdout and "--no-contact" in ran.stdout


def a_flipped_byte(folder: Path) -> None:
    shard = folder / "train-negative-000000.tar"
    raw = bytearray(shard.read_bytes())
    raw[2000] ^= 1
    shard.write_bytes(raw)


def a_damaged_index(folder: Path) -> None:
    (folder / "index.json").write_text('{"schema": 1,')


def a_wrong_count(folder: Path) -> None:
    edit_record(folder / "index.json", lambda index: index["counts"]["test"].update(positive=99))


def a_stranger(folder: Path) -> None:
    shutil.copy(folder / "test-positive-000000.tar", folder / "test-positive-000009.tar")


@pytest.mark.parametrize("damage", [a_flipped_byte, a_damaged_index, a_wrong_count, a_stranger])
def test_following_the_advice_gives_sound_shards_again(
    finished: Workspace, copied: Workspace, damage: Callable[[Path], None]
) -> None:
    folder = copied.shards(SIZE)
    damage(folder)
    ran = run_script("shards/check_shards.py", "--workspace", copied.root, "--resolution", "96x96", "--no-contact")
    assert ran.returncode == 1
    told = " ".join(ran.stdout.split())
    assert f"Delete the faulty tars and index.json in {folder}, then run the original make-shards command" in told
    for tar in {word.rstrip(":") for word in told.split() if word.endswith(".tar:")}:
        (folder / tar).unlink()
    (folder / "index.json").unlink()
    table = finished.root.parent / "cohort" / "labels.csv"
    report = convert_cohort(table, copied, [SIZE, OTHER], jobs=1, shard_images=3)
    assert report.converted_now == (3 if damage is a_flipped_byte else 0)
    assert verify(folder) == []
    kept, sound = (
        {path.name: path.read_bytes() for path in shards.iterdir() if path.is_file()}
        for shards in (folder, finished.shards(SIZE))
    )
    assert kept == sound


def test_repeating_make_shards_makes_a_shard_again_whose_bytes_changed(
    finished: Workspace, copied: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    a_flipped_byte(copied.shards(SIZE))
    table = finished.root.parent / "cohort" / "labels.csv"
    assert convert_cohort(table, copied, [SIZE, OTHER], jobs=1, shard_images=3).converted_now == 3
    assert "train-negative-000000.tar has changed since it was made" in capsys.readouterr().out
    assert verify(copied.shards(SIZE)) == []
    assert convert_cohort(table, copied, [SIZE, OTHER], jobs=1, shard_images=3).converted_now == 0


@pytest.mark.parametrize("text", ["", "null", "[]", '{"schema": 1,', "{}"])
def test_make_shards_over_a_damaged_record_says_which_and_what_to_do(
    finished: Workspace, copied: Workspace, text: str
) -> None:
    table = finished.root.parent / "cohort" / "labels.csv"
    for name in ("index.json", "settings.json", ".done/train-negative-000000.json"):
        path = copied.shards(SIZE) / name
        sound = path.read_bytes()
        path.write_text(text)
        with pytest.raises(UserError, match=rf"{path} is damaged: .*Delete it and repeat"):
            convert_cohort(table, copied, [SIZE, OTHER], jobs=1, shard_images=3)
        assert any(f"{path} is damaged" in fault for fault in verify(copied.shards(SIZE)))
        path.unlink()
        convert_cohort(table, copied, [SIZE, OTHER], jobs=1, shard_images=3)
        assert path.read_bytes() == sound and verify(copied.shards(SIZE)) == []


def test_overwrite_makes_all_shards_again_as_the_advice_says(finished: Workspace, copied: Workspace) -> None:
    a_damaged_index(copied.shards(SIZE))
    a_stranger(copied.shards(SIZE))
    table = finished.root.parent / "cohort" / "labels.csv"
    convert_cohort(table, copied, [SIZE, OTHER], jobs=1, shard_images=3, overwrite=True)
    assert verify(copied.shards(SIZE)) == verify(copied.shards(OTHER)) == []


def test_a_sample_is_read_by_its_place_in_the_index(finished: Workspace) -> None:
    index = ShardIndex.load(finished.shards(SIZE))
    for shard in index.shards:
        tar = index.folder / shard.name
        for at, expected in zip(shard.samples, read_shard(tar), strict=True):
            found = read_sample(tar, at)
            assert (found.key, found.facts) == (expected.key, expected.facts)
            assert np.array_equal(found.pixels, expected.pixels)


@pytest.mark.parametrize("what", ["a folder", "a link to nothing", "a link to itself"])
def test_what_stands_in_the_place_of_an_index_or_of_settings_is_not_taken_for_shards_that_were_never_made(
    finished: Workspace, copied: Workspace, what: str
) -> None:
    folder, table = copied.shards(SIZE), finished.root.parent / "cohort" / "labels.csv"
    for name in ("index.json", "settings.json"):
        kept = (folder / name).read_bytes()
        put_in_place(folder / name, what)
        assert re.search(IN_PLACE[what], "\n".join(verify(folder)))
        if name == "index.json":
            assert copied.resolutions() == sorted((SIZE, OTHER), reverse=True)
            with pytest.raises(UserError, match=IN_PLACE[what]):
                ShardIndex.load(folder)
        with pytest.raises(UserError, match=IN_PLACE[what]):
            convert_cohort(table, copied, [OTHER if name == "settings.json" else SIZE], jobs=1, shard_images=3)
        (folder / name).rmdir() if what == "a folder" else (folder / name).unlink()
        (folder / name).write_bytes(kept)


def test_loading_an_index_that_is_not_there_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"make-shards .*--resolution 96x96"):
        ShardIndex.load(Workspace(tmp_path).shards(SIZE))
