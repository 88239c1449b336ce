"""What is read is what was written: bytes are hashed while they are read, and each sample is the one that the index
lists."""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL
from generators import save_all

from mammogan.attack.config import DicomConfig, EvaluateConfig, GenerateConfig
from mammogan.attack.dicom.dicom_task import plan_dicom
from mammogan.attack.dicom.export import write_dicom
from mammogan.attack.generate import generate, plan
from mammogan.data.inspect.verify_results import verify_results
from mammogan.data.loading.pairs import PairedStream
from mammogan.data.shards.checked import CheckedShard
from mammogan.data.shards.codec import Codec, decode, encode
from mammogan.data.shards.damage import DamagedSample
from mammogan.data.shards.index import ShardIndex
from mammogan.data.shards.reader import ShardImages, read_shard
from mammogan.errors import UserError
from mammogan.evaluation.evaluate import evaluate, report
from mammogan.workspace import Workspace

GENERATE = GenerateConfig(device="cpu")
EVALUATE = EvaluateConfig(bootstrap=100, examples=1, device="cpu", controls=False)
REAL, FAKE = "test-positive-000000.tar", "test-remove-000000.tar"


@pytest.fixture(scope="module")
def evaluated(converted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("evaluated") / "work"
    shutil.copytree(converted.root, root)
    workspace = Workspace(root)
    save_all(workspace, SMALL)
    generate(workspace, GENERATE)
    evaluate(workspace, EVALUATE)
    return workspace


@pytest.fixture
def work(evaluated: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(evaluated.root, tmp_path / "work")
    return Workspace(tmp_path / "work")


def edit(tar: Path, change: Callable[[str, bytes], bytes]) -> None:
    """Change the content of members, keeping every size: what no tar reader can notice."""
    with tarfile.open(tar) as archive:
        members = archive.getmembers()
    raw = bytearray(tar.read_bytes())
    for member in members:
        place = slice(member.offset_data, member.offset_data + member.size)
        raw[place] = change(member.name, bytes(raw[place]))
    assert len(raw) == tar.stat().st_size
    tar.write_bytes(raw)


def other_label(name: str, content: bytes) -> bytes:
    if not name.endswith(".json"):
        return content
    labels = (b'"label": "positive"', b'"label": "negative"')
    before, after = labels if labels[0] in content else labels[::-1]
    return content.replace(before, after)


def darker(name: str, content: bytes) -> bytes:
    """Halve the pixels: a valid picture, filled up to the same size with bytes that no decoder looks at."""
    if name.endswith(".json"):
        return content
    codec: Codec = "png" if name.endswith("png") else "zstd"
    made = encode(decode(content) >> 9 << 8, codec)
    room = len(content) - len(made) - 8
    assert room >= 0
    fill = b"\x50\x2a\x4d\x18" + room.to_bytes(4, "little") + bytes(room)  # zstd's frame to be skipped
    return made + fill


@pytest.mark.parametrize("change", [other_label, darker])
@pytest.mark.parametrize("altered", [False, True])
def test_an_edited_shard_is_neither_altered_nor_scored_nor_exported(
    work: Workspace, change: Callable[[str, bytes], bytes], altered: bool
) -> None:
    folder, name = (work.adversarial(SMALL), FAKE) if altered else (work.shards(SMALL), REAL)
    edit(folder / name, change)
    for marker in (work.scores("test") / str(SMALL)).glob("*.json"):
        marker.unlink()
    with pytest.raises(UserError, match=rf"{name} is damaged: expected \d+ samples, .*(sha256|found label)"):
        evaluate(work, EVALUATE)
    assert not (work.report / "done.json").exists()
    [task] = [task for task in plan(work, SMALL, GENERATE) if task.name == FAKE]
    [export] = plan_dicom([task], DicomConfig(dicom=True))
    with pytest.raises(UserError, match=f"{name} is damaged"):
        write_dicom(export)
    if not altered:
        task.folder.remove(FAKE)
        with pytest.raises(UserError, match=f"{name} is damaged"):
            generate(work, GENERATE)
        assert not (work.adversarial(SMALL) / FAKE).exists()


def test_pictures_of_a_shard_that_changed_after_it_was_scored_are_not_shown(work: Workspace) -> None:
    edit(work.adversarial(SMALL) / FAKE, darker)
    with pytest.raises(UserError, match=f"{FAKE} has changed since it was made"):
        report(work, EVALUATE)


def test_another_split_in_the_place_of_the_test_split_is_refused(work: Workspace) -> None:
    folder = work.shards(SMALL)
    shutil.copy(folder / REAL.replace("test", "validation"), folder / REAL)
    index = ShardIndex.load(folder)
    shard = index.shard(REAL)
    assert shard
    with pytest.raises(UserError, match=f"{REAL} is damaged"):
        CheckedShard(folder / REAL, shard, "").check()
    # Training reads parts of a tar: it notices by the members' names.
    images = ShardImages(folder, "test", "positive")
    with pytest.raises(DamagedSample, match=rf"{REAL}: {shard.samples[0].key} is damaged"):
        images[0]


def test_reading_with_a_digest_hashes_every_byte_of_the_file(work: Workspace) -> None:
    import hashlib

    tar = work.shards(SMALL) / REAL
    digest = hashlib.sha256()
    assert len(list(read_shard(tar, digest))) == ShardIndex.load(tar.parent).shard(REAL).count  # type: ignore[union-attr]
    assert digest.hexdigest() == hashlib.sha256(tar.read_bytes()).hexdigest()


@pytest.mark.parametrize("workers", [0, 1])
def test_damaged_pixels_that_a_training_meets_are_named_by_shard_and_key(work: Workspace, workers: int) -> None:
    folder = work.shards(SMALL)
    index = ShardIndex.load(folder)
    shard = next(shard for shard in index.shards if (shard.split, shard.label) == ("train", "positive"))
    raw = bytearray((folder / shard.name).read_bytes())
    for sample in shard.samples:
        middle = sample.pixels_offset + sample.pixels_size // 2
        raw[middle : middle + 8] = bytes(255 - byte for byte in raw[middle : middle + 8])
    (folder / shard.name).write_bytes(raw)
    images = [ShardImages(folder, "train", label) for label in ("positive", "negative")]  # type: ignore[arg-type]
    stream = PairedStream(images[0], images[1], pairs=2, seed=0, workers=workers)
    with pytest.raises(UserError) as met:
        list(stream.epoch(0))
    told = str(met.value)
    assert told.startswith(f"{folder / shard.name}: ") and "check-shards --workspace" in told
    assert any(f"{sample.key} is damaged" in told for sample in shard.samples) and "Traceback" not in told


def _lost(*_: object) -> bytes:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_disk_that_fails_while_a_training_reads_is_named_with_shard_and_key(
    work: Workspace, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = work.shards(SMALL)
    images = [ShardImages(folder, "train", label) for label in ("positive", "negative")]  # type: ignore[arg-type]
    monkeypatch.setattr(os, "pread", _lost)
    with pytest.raises(UserError) as met:
        list(PairedStream(images[0], images[1], pairs=2, seed=0, workers=workers).epoch(0))
    told = str(met.value)
    assert any(told.startswith(f"{member.key} of {member.shard} cannot be read: ") for member in images[0].members)
    assert f"Input/output error: {folder}/train-positive-" in told and "The disk, or the network to it, fails" in told
    assert "Traceback" not in told and "\n" not in told and "damaged" not in told


def test_a_disk_that_fails_while_shards_are_scored_is_named_too(
    work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = work.shards(SMALL)
    shard = ShardIndex.load(folder).shard(REAL)
    assert shard
    monkeypatch.setattr("mammogan.data.shards.reader._Hashed.read", _lost)
    told = rf"{shard.samples[0].key} of {REAL} cannot be read: Input/output error: {folder / REAL}\. The disk, or the"
    with pytest.raises(UserError, match=told):
        CheckedShard(folder / REAL, shard, "").check()


def test_bytes_that_are_no_header_of_a_tar_are_not_shown(work: Workspace) -> None:
    folder = work.shards(SMALL)
    images = ShardImages(folder, "train", "negative")
    first, second = images.members[:2]
    tar = folder / first.shard
    raw = bytearray(tar.read_bytes())
    raw[first.offset - 512 : first.offset] = raw[second.offset - 512 : second.offset]
    tar.write_bytes(raw)
    with pytest.raises(DamagedSample, match=rf"found '{second.key}[.a-z]+' in its place"):
        images[0]
    raw[first.offset - 512 : first.offset] = bytes(range(255, -1, -1)) * 2
    tar.write_bytes(raw)
    with pytest.raises(DamagedSample, match="found other bytes in its place"):
        images[0]


def test_whole_pixels_of_another_size_are_named_too(work: Workspace) -> None:
    folder = work.shards(SMALL)
    images = ShardImages(folder, "train", "negative")
    member = images.members[0]
    other = encode(np.zeros((8, 8), np.uint16), "zstd")
    other += b"\x50\x2a\x4d\x18" + (member.size - len(other) - 8).to_bytes(4, "little")  # a frame that zstd skips
    raw = bytearray((folder / member.shard).read_bytes())
    raw[member.offset : member.offset + member.size] = other.ljust(member.size, b"\0")
    (folder / member.shard).write_bytes(raw)
    with pytest.raises(DamagedSample, match=rf"{member.key} is damaged .*expected pixels of .*, found \(8, 8\)"):
        images[0]


def test_a_cut_off_pixel_member_is_named_too(work: Workspace) -> None:
    folder = work.shards(SMALL)
    images = ShardImages(folder, "train", "negative")
    tar = folder / images.members[-1].shard
    tar.write_bytes(tar.read_bytes()[: images.members[-1].offset + 10])
    with pytest.raises(DamagedSample, match="shorter than its index says"):
        images[len(images) - 1]


def test_brackets_without_end_in_a_sample_are_damage(work: Workspace) -> None:
    edit(work.adversarial(SMALL) / FAKE, lambda name, content: b"[" * len(content) if "json" in name else content)
    shutil.rmtree(work.scores("test"))
    with pytest.raises(UserError, match=rf"{FAKE} is damaged: expected \d+ samples, sample 1 cannot be read"):
        evaluate(work, EVALUATE)
    assert any(FAKE in fault for fault in verify_results(work, SMALL))


def test_check_shards_looks_at_adversarial_mammograms_scores_and_dicom_files(work: Workspace) -> None:
    [task] = [task for task in plan(work, SMALL, GENERATE) if task.name == FAKE]
    [export] = plan_dicom([task], DicomConfig(dicom=True))
    write_dicom(export)
    from mammogan.attack.dicom.export import finish_dicom

    finish_dicom([export])
    assert verify_results(work, SMALL) == []
    edit(work.adversarial(SMALL) / FAKE, darker)
    scores = next((work.scores("test") / str(SMALL)).glob("*.json"))
    text = scores.read_text()
    digit = next(n for n, letter in enumerate(text) if letter == "." and text[n + 1].isdigit()) + 1
    scores.write_text(text[:digit] + str((int(text[digit]) + 1) % 10) + text[digit + 1 :])
    dicom = next(export.folder.path.glob("*.dcm"))
    raw = bytearray(dicom.read_bytes())
    raw[-1] ^= 1
    dicom.write_bytes(raw)
    faults = "\n".join(verify_results(work, SMALL))
    assert f"{FAKE} is damaged" in faults or f"{FAKE}: sha256" in faults
    assert f"{scores}" in faults and "changed after it was written" in faults
    assert dicom.name in faults


def test_pixels_survive_the_edit_helper(work: Workspace) -> None:
    """The halved pictures of these tests are what a reader without hashes would take for true."""
    edit(work.adversarial(SMALL) / FAKE, darker)
    read = list(read_shard(work.adversarial(SMALL) / FAKE))
    assert read and all(int(np.max(sample.pixels)) <= 32767 for sample in read)
