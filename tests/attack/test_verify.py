"""What mammogan verify says of files that this package made, that were changed, and that others made."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from exports import FLAT, SIZED, export
from PIL import Image

from mammogan.attack.signature import SigningKey, key_file, signed_words
from mammogan.attack.verify import Verdict, verify
from mammogan.cli.verify import Options, execute
from mammogan.errors import UserError
from mammogan.io.options import guarded, parse
from mammogan.io.png_text import png_text
from mammogan.workspace import Workspace


def shard_of(workspace: Workspace) -> Path:
    return workspace.adversarial(FLAT) / "test-remove-000000.tar"


def png_of(workspace: Workspace, folder: Path) -> Path:
    """The first PNG of the shard, taken out of it."""
    with tarfile.open(shard_of(workspace)) as tar:
        member = next(m for m in tar if m.name.endswith(".png"))
        (folder / "taken.png").write_bytes(tar.extractfile(member).read())  # type: ignore[union-attr]
    return folder / "taken.png"


def texts(path: Path) -> dict[str, str]:
    return dict(Image.open(path).text)  # type: ignore[attr-defined]


def test_a_png_taken_out_of_a_shard_says_that_it_is_synthetic_and_is_known_to_be_unchanged(
    altered: Workspace, tmp_path: Path
) -> None:
    taken = png_of(altered, tmp_path)
    assert texts(taken)["Description"] == "synthetic: altered by MammoGAN, not a clinical image"
    assert verify(taken, altered).verdict is Verdict.UNCHANGED
    assert "sha256" in verify(taken, altered).why
    assert verify(taken, None).verdict is Verdict.UNPROVEN
    key_file(altered).unlink()
    assert verify(taken, altered).verdict is Verdict.UNCHANGED  # the index is enough
    for index in altered.root.glob("adversarial*/*/index.json"):
        index.unlink()
    assert verify(taken, altered).verdict is Verdict.UNPROVEN


def test_a_png_that_was_encoded_again_is_known_by_its_signature_and_one_changed_pixel_is_found(
    altered: Workspace, tmp_path: Path
) -> None:
    taken = png_of(altered, tmp_path)
    held, pixels = texts(taken), np.array(Image.open(taken), dtype=np.uint16)
    again = tmp_path / "again.png"
    Image.fromarray(pixels).save(again, compress_level=9, pnginfo=png_text(held))
    assert "encoded again" in verify(again, altered).why and verify(again, altered).verdict is Verdict.UNCHANGED
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(again, pnginfo=png_text(held))
    assert verify(again, altered).verdict is Verdict.CHANGED
    pixels[0, 0] ^= 1
    other = json.loads(held["MammoGAN"]) | {"direction": "insert"}
    Image.fromarray(pixels).save(again, pnginfo=png_text({"MammoGAN": json.dumps(other)}))
    assert verify(again, altered).verdict is Verdict.CHANGED
    Image.fromarray(pixels).save(again, pnginfo=png_text({"MammoGAN": "[" * 200_000}))
    assert verify(again, altered).verdict is Verdict.CHANGED
    Image.fromarray(pixels).save(again)
    assert verify(again, altered).verdict is Verdict.FOREIGN  # no text survives: docs/responsible_use.md


def test_a_shard_is_known_by_its_index_and_by_its_members_and_a_changed_member_is_found(
    altered: Workspace, tmp_path: Path
) -> None:
    assert verify(shard_of(altered), None).verdict is Verdict.UNCHANGED
    copy = tmp_path / "renamed.tar"
    content = bytearray(shard_of(altered).read_bytes())
    copy.write_bytes(content)
    assert verify(copy, altered).verdict is Verdict.UNCHANGED  # by the signatures of its members
    assert verify(copy, None).verdict is Verdict.UNPROVEN
    at = content.index(b"\x89PNG") + 3000
    content[at] ^= 1
    copy.write_bytes(content)
    assert verify(copy, altered).verdict is Verdict.CHANGED
    shutil.copy(copy, shard_of(altered))
    assert verify(shard_of(altered), None).verdict is Verdict.CHANGED


def test_a_dicom_file_is_known_by_index_and_signature(altered: Workspace, tmp_path: Path) -> None:
    folder = export(altered, SIZED)
    file = sorted(folder.glob("*.dcm"))[0]
    assert "sha256" in verify(file, None).why and verify(file, None).verdict is Verdict.UNCHANGED
    moved = Path(shutil.copy(file, tmp_path / "moved.dcm"))
    assert "signature fits" in verify(moved, altered).why
    header = pydicom.dcmread(moved)
    header.PatientName = "SOMEBODY ELSE"
    header.save_as(moved)
    assert verify(moved, altered).verdict is Verdict.UNCHANGED  # pixels and the words on how it was made are signed
    pixels = bytearray(header.PixelData)
    pixels[5000] ^= 1
    header.PixelData = bytes(pixels)
    header.save_as(moved)
    assert verify(moved, altered).verdict is Verdict.CHANGED


def edited(file: Path, **values: object) -> Path:
    """The DICOM file with other values in its header, written by another program."""
    header = pydicom.dcmread(file)
    for name, value in values.items():
        setattr(header, name, value)
    header.save_as(file)
    return file


OF_THE_PIXELS = {
    "ImageLaterality": "B",
    "ViewPosition": "ML",
    "PatientOrientation": ["H", "F"],
    "ImageType": ["ORIGINAL", "PRIMARY"],
    "PhotometricInterpretation": "MONOCHROME1",
    "PresentationLUTShape": "INVERSE",
}


@pytest.mark.parametrize("name", OF_THE_PIXELS)
def test_a_header_that_shows_the_pixels_as_something_else_is_found(
    altered: Workspace, tmp_path: Path, name: str
) -> None:
    file = sorted(export(altered, SIZED).glob("*.dcm"))[0]
    for path in (Path(shutil.copy(file, tmp_path / "moved.dcm")), file):
        assert verify(path, altered).verdict is Verdict.UNCHANGED
        found = verify(edited(path, **{name: OF_THE_PIXELS[name]}), altered)
        assert found.verdict is Verdict.CHANGED and f"name another {name} than its header" in found.why


def test_a_header_that_was_edited_where_the_index_is_at_hand_is_not_called_unchanged(altered: Workspace) -> None:
    file = edited(sorted(export(altered, SIZED).glob("*.dcm"))[0], PatientName="Doe^Jane", SeriesDescription="R CC")
    for workspace in (altered, None):
        found = verify(file, workspace)
        assert (
            found.verdict is Verdict.CHANGED and "signature fits its pixels and its words, but the index" in found.why
        )
        assert "what is not signed of its header may be another" in found.why and "Doe" not in found.why


def test_a_file_that_was_signed_before_its_header_was_is_verified_as_it_was_then(
    altered: Workspace, tmp_path: Path
) -> None:
    moved = Path(shutil.copy(sorted(export(altered, SIZED).glob("*.dcm"))[0], tmp_path / "moved.dcm"))
    header = pydicom.dcmread(moved)
    [maker] = header.ContributingEquipmentSequence
    pixels = np.frombuffer(header.PixelData, "<u2")[: header.Rows * header.Columns].reshape(header.Rows, header.Columns)
    words = maker.ContributionDescription.partition("; header ")[0]
    maker.ContributionDescription = signed_words(words, pixels, SigningKey.of(altered))
    header.ImageLaterality = "B"
    header.save_as(moved)
    assert verify(moved, altered).verdict is Verdict.UNCHANGED  # nothing says that its side was another


def test_files_of_others_have_no_mark(altered: Workspace, tmp_path: Path) -> None:
    Image.new("L", (9, 9)).save(tmp_path / "cat.png")
    (tmp_path / "text.txt").write_text("MammoGAN")
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("x.png"), io.BytesIO())
    original = next(altered.shards(FLAT).glob("*.tar"))
    for path in (*tmp_path.glob("*.png"), tmp_path / "text.txt", tmp_path / "other.tar"):
        assert verify(path, altered).verdict is Verdict.FOREIGN, path
    assert verify(original, None).verdict is Verdict.UNCHANGED
    with pytest.raises(UserError, match="no such file"):
        verify(tmp_path / "gone.png", altered)


def test_the_exit_code_is_that_of_the_worst_file(altered: Workspace, tmp_path: Path) -> None:
    taken, changed = png_of(altered, tmp_path), tmp_path / "changed.png"
    pixels = np.array(Image.open(taken), dtype=np.uint16)
    Image.fromarray(pixels // 2).save(changed, pnginfo=png_text(texts(taken)))
    Image.new("L", (9, 9)).save(tmp_path / "cat.png")

    def code(*words: str | Path) -> int:
        return guarded(lambda: execute(parse(Options, [str(word) for word in words])))

    assert code("--workspace", altered.root, taken) == 0
    assert code("--workspace", altered.root, taken, tmp_path / "cat.png", changed) == 1
    assert code("--workspace", altered.root, taken, tmp_path / "cat.png") == 3
    assert code(taken) == 4
    assert code(tmp_path / "gone.png") == code() == 2


def test_the_signing_key_is_private_and_made_once(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    first = SigningKey.of(workspace).id
    assert SigningKey.of(workspace).id == first != SigningKey.of(Workspace(tmp_path / "other")).id
    assert key_file(workspace).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in key_file(workspace).parent.iterdir()] == ["signing-key"]
    key_file(workspace).chmod(0o644)
    with pytest.raises(UserError, match="chmod 600"):
        SigningKey.of(workspace)


@pytest.mark.parametrize("left", [b"", b"\n", b"5", b"00" * 32, b"0123456789abcdef0123", b"\0" * 65])
def test_a_signing_key_that_was_emptied_or_cut_signs_and_verifies_nothing(
    altered: Workspace, tmp_path: Path, left: bytes
) -> None:
    taken = Path(shutil.copy(png_of(altered, tmp_path), tmp_path / "again.png"))
    Image.open(taken).save(taken, compress_level=9, pnginfo=png_text(texts(taken)))
    key_file(altered).write_bytes(left)
    for use in (SigningKey.of, SigningKey.there, lambda workspace: verify(taken, workspace)):
        with pytest.raises(UserError, match=r"signing key .*signing-key: expected .*bring .* back from a copy"):
            use(altered)
