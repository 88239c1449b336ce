"""Shards from elsewhere are read as data: nothing in them is run, unpacked or followed out of their folder."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import run_script
from dicoms import write_cohort
from edited import edit_record

from mammogan.data.conversion.convert_cohort import ShardIndex, convert_cohort, verify
from mammogan.data.shards.reader import ShardImages, read_shard
from mammogan.errors import UserError
from mammogan.workspace import Resolution, Workspace

SIZE = Resolution(96, 96)
SHARD = "train-negative-000000.tar"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("finished")
    convert_cohort(write_cohort(root / "cohort", patients=12), Workspace(root / "work"), [SIZE], jobs=1)
    return root / "work"


@pytest.fixture
def shards(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "work")
    return Workspace(tmp_path / "work").shards(SIZE)


class Trap:
    """Whoever unpickles it makes a folder."""

    def __init__(self, trodden: Path) -> None:
        self.trodden = trodden

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.trodden),)


def add(tar: Path, *members: tuple[tarfile.TarInfo, bytes]) -> None:
    with tarfile.open(tar, "a") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def linking(name: str, to: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    return member


def read_all(shards: Path) -> int:
    """Samples that the three readers of a folder give."""
    index = ShardIndex.load(shards)
    images = ShardImages(shards, "train", "negative")
    return len(list(read_shard(shards / SHARD))) + len([images[n] for n in range(len(images))]) + len(index.shards)


def test_pickles_in_a_shard_are_not_unpickled_and_the_checker_reports_them(shards: Path, tmp_path: Path) -> None:
    trodden = tmp_path / "trodden"
    trap = pickle.dumps(Trap(trodden))
    samples, key = read_all(shards), ShardIndex.load(shards).shards[1].samples[-1].key
    add(shards / SHARD, *((tarfile.TarInfo(f"{key}.{kind}"), trap) for kind in ("pkl", "pyd", "pth", "pickle", "npy")))
    assert read_all(shards) == samples
    faults = verify(shards)
    assert not trodden.exists()
    assert sum("index.json says None" in fault for fault in faults) == 5
    pickle.loads(trap)
    assert trodden.exists()


def test_members_whose_names_lead_elsewhere_are_not_unpacked_and_links_not_followed(
    shards: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("nobody's business")
    before = sorted(path for path in tmp_path.rglob("*"))
    add(
        shards / SHARD,
        (tarfile.TarInfo("../../../outside.json"), b"{}"),
        (tarfile.TarInfo(str(tmp_path / "absolute.json")), b"{}"),
        (linking("link.json", str(secret), tarfile.SYMTYPE), b""),
        (linking("hard.json", "../../../secret", tarfile.LNKTYPE), b""),
        (linking("device.json", "", tarfile.CHRTYPE), b""),
    )
    faults = "\n".join(verify(shards))
    with pytest.raises(KeyError, match="pixels"):
        read_all(shards)
    assert sorted(path for path in tmp_path.rglob("*")) == before
    assert "outside.json" in faults and "link.json" in faults and "nobody's" not in faults


@pytest.mark.parametrize("name", ["../../elsewhere.tar", "/etc/passwd", "sub/x.tar", "..", ""])
def test_an_index_cannot_name_files_outside_its_folder(shards: Path, name: str) -> None:
    edit_record(
        shards / "index.json",
        lambda index: next(shard for shard in index["shards"] if shard["name"] == SHARD).update(name=name),
    )
    for read in (ShardIndex.load, lambda folder: ShardImages(folder, "train", "negative")):
        with pytest.raises(UserError, match="expected the name of a file beside it"):
            read(shards)
    assert "expected the name of a file beside it" in verify(shards)[0]


def test_every_cut_at_a_members_border_is_found_and_a_rerun_repairs_it(shards: Path) -> None:
    whole = (shards / SHARD).read_bytes()
    with tarfile.open(shards / SHARD) as archive:
        borders = [member.offset for member in archive]
    assert len(borders) > 4
    for border in (0, *borders[1:], len(whole) - 512):
        (shards / SHARD).write_bytes(whole[:border])
        assert any(SHARD in fault for fault in verify(shards)), border


def test_the_checker_reports_strange_shards_without_a_traceback(shards: Path) -> None:
    (shards / SHARD).write_bytes(pickle.dumps({"not": "a tar"}))
    ran = run_script("shards/check_shards.py", "--workspace", shards.parent.parent)
    assert ran.returncode == 1 and f"FAULT 96x96: {SHARD}" in ran.stdout and "Traceback" not in ran.stderr
