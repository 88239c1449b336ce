"""Pages of pictures: of a shard, of flagged samples, and of files left out, which stay private."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, checked, run_script
from dicoms import COLUMNS, NAME, RECORD, breast, write_mammogram, write_table
from PIL import Image

from mammogan.data.conversion.convert_cohort import ShardIndex, convert_cohort
from mammogan.data.dicom.flags import FLAGS, MEANING
from mammogan.data.inspect.contact_sheet import HEIGHT
from mammogan.data.inspect.preview import of_left_out, thumbnail, with_flags
from mammogan.workspace import Resolution, Workspace

SIZE = Resolution(96, 96)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Three used files, one of which lies on the other side than its header says; two left out, one still decodable."""
    root = tmp_path_factory.mktemp("preview")
    for number in range(2):
        write_mammogram(root / f"{number}.dcm", breast(seed=number))
    write_mammogram(root / "2.dcm", breast(seed=2)[:, ::-1].copy(), PatientOrientation=["A", "R"])
    write_mammogram(root / "3.dcm", breast(seed=3), PresentationIntentType="FOR PROCESSING")
    (root / "4.dcm").write_text("no image")
    rows = [(f"{n}.dcm", f"{RECORD}-{n}", "L", "CC", "positive", "test") for n in range(5)]
    convert_cohort(
        write_table(root / "labels.csv", rows, (*COLUMNS, "split")), Workspace(root / "work"), [SIZE], jobs=1
    )
    return Workspace(root / "work")


def test_a_page_shows_every_sample_of_a_shard(work: Workspace) -> None:
    checked("shards/preview.py", "--workspace", work.root, "--shard", "test-positive-000000")
    page = Image.open(work.root / "preview-96x96-test-positive-000000.png")
    assert page.mode == "L" and page.height > HEIGHT
    third = np.array(page)[:, -HEIGHT:]
    assert np.ptp(third) > 100


def test_samples_whose_orientation_is_in_doubt_are_found(work: Workspace) -> None:
    told = checked("shards/preview.py", "--workspace", work.root, "--orientation")
    assert "preview-96x96-orientation.png" in told
    [doubtful] = with_flags(ShardIndex.load(work.shards(SIZE)), ("orientation_disagrees",))
    assert doubtful.above == "test positive" and "orientation_disagrees" in doubtful.below


def test_files_left_out_are_shown_where_they_can_be_and_named_by_their_reason(work: Workspace) -> None:
    decodable, text = of_left_out(work)
    assert decodable.above.endswith("for_processing") and text.above.endswith("not_dicom")
    assert decodable.pixels is not None and decodable.pixels.shape[0] == HEIGHT and np.ptp(decodable.pixels) == 255
    assert text.pixels is None
    assert not any(private in f"{p.above}{p.below}" for p in (decodable, text) for private in (NAME, RECORD, "dcm"))


def test_their_page_is_private(work: Workspace) -> None:
    told = checked("shards/preview.py", "--workspace", work.root, "--left-out")
    page = work.root / "private" / "left-out.png"
    assert str(page) in told.replace("\n", "") and page.stat().st_mode & 0o777 == 0o600


def test_mistakes_are_reported_in_one_message(work: Workspace, tmp_path: Path) -> None:
    for words, told in (
        ((), "expected --shard NAME"),
        (("--shard", "test-positive-000007"), "it has test-positive-000000.tar"),
    ):
        ran = run_script("shards/preview.py", "--workspace", work.root, *words)
        assert ran.returncode == 2 and told in ran.stderr and "Traceback" not in ran.stderr
    assert "mammogan make-shards" in run_script("shards/preview.py", "--workspace", tmp_path, "--orientation").stderr
    assert "none" in checked("shards/preview.py", "--workspace", work.root, "--flags", "detached")
    banana = run_script("shards/preview.py", "--workspace", work.root, "--flags", "banana")
    assert banana.returncode == 2 and "--flags banana: expected some of background_not_cleaned, " in banana.stderr


def test_a_page_is_written_where_requested_and_an_unwritable_place_is_reported(work: Workspace, tmp_path: Path) -> None:
    words = ("shards/preview.py", "--workspace", work.root, "--shard", "test-positive-000000", "--out")
    checked(*words, tmp_path / "pages")
    assert (tmp_path / "pages" / "preview-96x96-test-positive-000000.png").is_file()
    (tmp_path / "file").touch()
    refused = run_script(*words, tmp_path / "file")
    assert refused.returncode == 2 and "name a folder where you may write: --out" in refused.stderr


def test_every_flag_has_its_meaning_in_the_docs() -> None:
    told = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    assert MEANING.keys() == set(FLAGS) and all(f"| `{flag}` | {MEANING[flag]} |" in told for flag in FLAGS)


def test_an_inverted_film_that_was_left_out_is_shown_with_a_dark_background(tmp_path: Path) -> None:
    pages = [
        thumbnail(write_mammogram(tmp_path / "a.dcm", pixels, photometric=photometric))
        for pixels, photometric in ((breast(), "MONOCHROME2"), (4095 - breast(), "MONOCHROME1"))
    ]
    assert pages[0] is not None and pages[1] is not None and np.abs(pages[0].astype(int) - pages[1]).max() <= 1
