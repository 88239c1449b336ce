"""Every piece of Python in docs/reading_shards.md runs, on shards of both codecs, and reads the exact pixels."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from dicoms import write_cohort

from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.data.shards.codec import Codec
from mammogan.data.shards.index import ShardIndex
from mammogan.data.shards.reader import read_shard
from mammogan.workspace import Resolution, Workspace

SIZE = Resolution(96, 96)
BLOCKS = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs/reading_shards.md").read_text(encoding="utf-8"), re.S | re.M
)
CODECS: tuple[Codec, ...] = ("zstd", "png")


@pytest.fixture(scope="module", params=CODECS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shards")
    work = Workspace(root / "work")
    convert_cohort(write_cohort(root / "cohort", 12), work, [SIZE], jobs=1, shard_images=3, codec=request.param)
    return work.shards(SIZE)


def run(folder: Path, library: str) -> dict[str, Any]:
    """Run the blocks up to the one that imports the library, and return their names."""
    last = next(n for n, block in enumerate(BLOCKS) if re.search(rf"^(import|from) {library}\b", block, re.M))
    needed = [block for block in BLOCKS[: last + 1] if not re.search(r"^import (wids|datasets)", block, re.M)]
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in dict.fromkeys([*needed, BLOCKS[last]]):
        exec(compile(block.replace("work/shards/1024x832", str(folder)), "reading_shards.md", "exec"), names)
    return names


def originals(folder: Path, split: str = "train") -> dict[str, np.ndarray[Any, Any]]:
    return {s.key: s.pixels for tar in sorted(folder.glob(f"{split}-*.tar")) for s in read_shard(tar)}


def test_plain_webdataset_gives_the_exact_pixels(folder: Path) -> None:
    names = run(folder, "webdataset")
    found = {sample["__key__"]: names["pixels"](sample) for sample in names["samples"]}
    wanted = originals(folder)
    assert found.keys() == wanted.keys() and all(np.array_equal(found[key], wanted[key]) for key in wanted)
    assert max(image.max() for image in found.values()) > 255


def test_webdatasets_own_decoder_cuts_sixteen_bits_as_the_page_says(folder: Path) -> None:
    import webdataset as wds

    if tars := [str(tar) for tar in folder.glob("train-*.tar") if b".png" in tar.read_bytes()]:
        decoded = next(iter(wds.WebDataset(tars, shardshuffle=False).decode("pil")))
        assert np.array(decoded["png"]).max() <= 255


def test_torchs_loader_gives_every_mammogram_once_with_its_label(folder: Path) -> None:
    names = run(folder, "torch")
    loader = names["torch"].utils.data.DataLoader(names["mixed"], batch_size=4, num_workers=2)
    batches = [*loader]
    labels = [int(y) for _, batch in batches for y in batch]
    counts = ShardIndex.load(folder).counts["train"]
    assert (sum(labels), len(labels)) == (counts["positive"], sum(counts.values()))
    assert all(images.max() <= 1 and images.shape[1:] == (1, 96, 96) for images, _ in batches)


def test_the_packages_own_reader_gives_the_exact_pixels(folder: Path) -> None:
    positives = run(folder, "mammogan")["positives"]
    assert len(positives) == ShardIndex.load(folder).counts["train"]["positive"]


def test_datasets_gives_the_exact_pixels(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    names = run(folder, "datasets")
    row = names["row"]
    assert np.array_equal(names["image"], originals(folder)[row["__key__"]])


def test_wids_gives_the_exact_pixels(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("wids", reason='wids is in "webdataset<1" only')
    monkeypatch.setenv("WIDS_CACHE", str(tmp_path))
    names = run(folder, "wids")
    wanted = originals(folder)
    assert len(names["train"]) == len(wanted)
    assert np.array_equal(names["pixels"](names["sample"]), wanted[names["sample"]["__key__"]])


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_index_files_of_wids_list_the_tars_of_their_split(folder: Path, split: str) -> None:
    listed = json.loads((folder / f"wids-{split}.json").read_text())
    assert (listed["__kind__"], listed["wids_version"]) == ("wids-shard-index-v1", 1)
    shards = ShardIndex.load(folder).of_split(split)
    assert [(s["url"], s["nsamples"], s["filesize"]) for s in listed["shardlist"]] == [
        (shard.name, shard.count, shard.bytes) for shard in shards
    ]


def test_all_python_of_the_page_is_run_here() -> None:
    libraries = ("io", "webdataset", "torch", "mammogan", "wids", "datasets")
    assert len(BLOCKS) == len(libraries) and "pixels" in BLOCKS[0] and sys.version_info >= (3, 11)
