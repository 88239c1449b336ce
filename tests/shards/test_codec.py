"""Pixels of a shard are exact in every codec, and what is written as PNG is read by everyone's programs."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from dicoms import write_cohort
from edited import renew_checksum
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from mammogan.data.conversion.convert_cohort import ShardIndex, convert_cohort, verify
from mammogan.data.shards.codec import CODECS, Codec, decode, encode
from mammogan.data.shards.reader import ShardImages, read_sample, read_shard
from mammogan.errors import UserError
from mammogan.workspace import Resolution, Workspace

SIZE = Resolution(96, 96)
EVERY_VALUE = np.arange(65536, dtype=np.uint16).reshape(256, 256)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[Codec, Path]:
    """The same cohort's shards in each codec."""
    root = tmp_path_factory.mktemp("codecs")
    table = write_cohort(root / "cohort", patients=6)
    (root / "salt").write_text("0123456789abcdef" * 4)
    (root / "salt").chmod(0o600)
    for codec in CODECS:
        convert_cohort(table, Workspace(root / codec), [SIZE], jobs=1, salt_file=root / "salt", codec=codec)
    return {codec: Workspace(root / codec).shards(SIZE) for codec in CODECS}


@pytest.mark.parametrize("codec", CODECS)
def test_every_16_bit_value_comes_back_exactly_and_writable(codec: Codec) -> None:
    for pixels in (EVERY_VALUE, EVERY_VALUE.T, EVERY_VALUE[::-1, ::2], EVERY_VALUE.astype(">u2").astype(np.uint16)):
        decoded = decode(encode(pixels, codec))
        assert decoded.dtype == np.uint16 and decoded.flags.writeable
        assert np.array_equal(decoded, pixels)


@settings(max_examples=50, deadline=None)
@given(arrays(np.uint16, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_the_codecs_agree_on_any_image(pixels: np.ndarray) -> None:
    for codec in CODECS:
        assert np.array_equal(decode(encode(pixels, codec)), pixels)


@pytest.mark.parametrize("codec", CODECS)
def test_the_same_pixels_give_the_same_bytes(codec: Codec) -> None:
    assert encode(EVERY_VALUE, codec) == encode(EVERY_VALUE.copy(), codec)


def test_a_zstd_member_is_a_npy_file_for_anybody() -> None:
    zstandard = pytest.importorskip("zstandard")
    npy = zstandard.ZstdDecompressor().decompress(encode(EVERY_VALUE, "zstd"))
    assert np.array_equal(np.load(io.BytesIO(npy), allow_pickle=False), EVERY_VALUE)


def test_one_wrong_bit_anywhere_in_a_zstd_member_is_noticed() -> None:
    whole = encode(EVERY_VALUE[:32], "zstd")
    for place in range(0, len(whole), 41):
        broken = bytearray(whole)
        broken[place] ^= 4
        with pytest.raises(ValueError):
            decode(bytes(broken))
    for cut in (0, 3, 20, len(whole) // 2, len(whole) - 5):
        with pytest.raises(ValueError):
            decode(whole[:cut])


def test_one_wrong_bit_anywhere_in_a_png_and_a_png_without_its_end_are_noticed() -> None:
    noise = np.random.default_rng(0).integers(0, 4096, (31, 17)).astype(np.uint16)
    whole = encode(noise, "png", {"Description": "words travel with it"})
    for place in range(len(whole)):
        broken = bytearray(whole)
        broken[place] ^= 4
        with pytest.raises(ValueError):
            decode(bytes(broken))
        with pytest.raises(ValueError):
            decode(whole[:place])
    assert np.array_equal(decode(whole + b"what follows the end is no part of it"), noise)


def test_other_depths_are_refused() -> None:
    eight_bit = io.BytesIO()
    Image.new("L", (4, 4), 7).save(eight_bit, "PNG")
    with pytest.raises(ValueError, match=r"16-bit.*mode L"):
        decode(eight_bit.getvalue())
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.uint16), np.zeros((4, 4), np.float32)):
        with pytest.raises(ValueError, match=r"expected uint16 \(H,W\)"):
            encode(wrong, "zstd")
        npy = io.BytesIO()
        np.save(npy, wrong)
        zstandard = pytest.importorskip("zstandard")
        with pytest.raises(ValueError, match=r"expected uint16 \(H,W\)"):
            decode(zstandard.ZstdCompressor().compress(npy.getvalue()))
    with pytest.raises(ValueError, match=r"npy.zst or png, found neither; .* mammogan make-shards"):
        decode(b"GIF89a")


def test_shards_of_both_codecs_hold_the_same_samples_by_every_way_of_reading(both: dict[Codec, Path]) -> None:
    zstd, png = (ShardIndex.load(both[codec]) for codec in ("zstd", "png"))
    assert zstd.counts == png.counts and [s.name for s in zstd.shards] == [s.name for s in png.shards]
    for ours, theirs in zip(zstd.shards, png.shards, strict=True):
        streams = (read_shard(index.folder / shard.name) for index, shard in ((zstd, ours), (png, theirs)))
        for a, b, at, other in zip(*streams, ours.samples, theirs.samples, strict=True):
            found = [a, b, read_sample(zstd.folder / ours.name, at), read_sample(png.folder / theirs.name, other)]
            assert all(np.array_equal(sample.pixels, a.pixels) and sample.facts == a.facts for sample in found)
        images = [ShardImages(index.folder, ours.split, ours.label) for index in (zstd, png)]  # type: ignore[arg-type]
        assert all(np.array_equal(a, b) for a, b in zip(*images, strict=True))
    assert verify(both["zstd"]) == verify(both["png"]) == []


def test_the_codec_is_a_setting_and_shards_from_before_it_were_png(both: dict[Codec, Path], tmp_path: Path) -> None:
    assert ShardIndex.load(both["zstd"]).settings["codec"] == "zstd"
    root = both["png"].parents[2]
    table, salt = root / "cohort" / "labels.csv", root / "salt"
    work = Workspace(tmp_path / "work")
    shutil.copytree(root / "png", work.root)
    index = work.shards(SIZE) / "index.json"
    index.write_text(index.read_text().replace('"pixels_', '"png_'))
    renew_checksum(index)
    assert verify(work.shards(SIZE)) == [] and len(ShardImages(work.shards(SIZE), "train", "negative")) > 0
    with pytest.raises(UserError, match="codec was png, is zstd"):
        convert_cohort(table, work, [SIZE], jobs=1, salt_file=salt)
    assert convert_cohort(table, work, [SIZE], jobs=1, salt_file=salt, codec="png").converted_now == 0


@pytest.mark.skipif(shutil.which("pngcheck") is None, reason="needs pngcheck: tests/packages.sh installs it")
def test_gnu_tar_and_pngcheck_find_png_shards_sound(both: dict[Codec, Path], tmp_path: Path) -> None:
    for tar in both["png"].glob("*.tar"):
        subprocess.run(["tar", "-xf", tar, "-C", tmp_path], check=True, capture_output=True)
    pngs = sorted(tmp_path.glob("*.png"))
    checked = subprocess.run(["pngcheck", *pngs], capture_output=True, text=True)
    assert checked.returncode == 0 and checked.stdout.count("16-bit grayscale") == len(pngs) > 6
    for tar in both["png"].glob("*.tar"):
        for sample in read_shard(tar):
            with Image.open(tmp_path / f"{sample.key}.png") as image:
                assert np.array_equal(np.array(image, np.uint16), sample.pixels)
            assert json.loads((tmp_path / f"{sample.key}.json").read_text()) == sample.facts


@pytest.mark.parametrize("streaming", [False, True])
def test_hugging_face_datasets_reads_png_shards(both: dict[Codec, Path], tmp_path: Path, streaming: bool) -> None:
    import datasets

    tar = both["png"] / "train-negative-000000.tar"
    loaded = datasets.load_dataset(
        "webdataset", data_files=str(tar), split="train", cache_dir=str(tmp_path), streaming=streaming
    )
    for row, sample in zip(loaded, read_shard(tar), strict=True):
        assert row["__key__"] == sample.key and row["json"]["label"] == sample.facts["label"]
        assert np.array_equal(np.array(row["png"]), sample.pixels)
