"""mammogan draw-reading on a real workspace: what it writes, resumes, refuses and says."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, SMALL, run_script
from generators import save_gnet
from numpy.typing import NDArray
from readings import readable_phantoms

from mammogan.attack.config import GenerateConfig
from mammogan.attack.generate import generate, plan
from mammogan.cli.generate import Options, execute
from mammogan.data.shards.index import ShardIndex
from mammogan.data.shards.reader import read_shard
from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import read_json, sha256
from mammogan.io.options import parse
from mammogan.io.records import read_record, write_record
from mammogan.reader.config import DrawConfig
from mammogan.reader.drawing.draw_folder import draw_reading
from mammogan.reader.drawing.pool import find_pool
from mammogan.reader.folder import ReadingFolder
from mammogan.reader.key import KeyImage, ReadingKey
from mammogan.reader.plan import MIDDLE, PHANTOMS_ONLY, Phantoms
from mammogan.workspace import SPLITS, Direction, Resolution, Workspace

TWO = DrawConfig(readers=("R1", "R2"), seed=3)


def drawn(workspace: Workspace, config: DrawConfig = TWO) -> tuple[ReadingFolder, ReadingKey]:
    folder = draw_reading(workspace, config)[0]
    return folder, ReadingKey.load(workspace.reading_key(config.title))


def pixels(folder: ReadingFolder, name: str) -> NDArray[np.uint16]:
    return np.frombuffer(folder.image(name).read_bytes(), "<u2").reshape(SMALL.height, SMALL.width)


def stored(workspace: Workspace) -> dict[str, NDArray[np.uint16]]:
    """All pixels of the shards and the adversarial shards, by key."""
    folders = workspace.shards(SMALL), workspace.adversarial(SMALL)
    return {s.key: s.pixels for folder in folders for tar in sorted(folder.glob("*.tar")) for s in read_shard(tar)}


@pytest.fixture(scope="module")
def study(converted: Workspace, readable_once: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose study is drawn; read-only by agreement."""
    root = tmp_path_factory.mktemp("drawn") / "work"
    shutil.copytree(readable_once.root, root)
    drawn(Workspace(root))
    return Workspace(root)


def test_every_image_is_what_the_key_says(study: Workspace) -> None:
    folder, key = ReadingFolder(study.reading("study")), ReadingKey.load(study.reading_key("study"))
    shards = stored(study)
    triplets: dict[str, dict[str, KeyImage]] = {}
    for image in key.images:
        if image.role == "difference":
            triplets.setdefault(image.key, {})
        else:
            expected = shards[image.fake_key or image.key]
            assert np.array_equal(pixels(folder, image.image), expected)
    of_fourth = {(i.key, i.role): pixels(folder, i.image).astype(int) for i in key.images if i.session == 4}
    assert triplets and set(of_fourth) == {(k, r) for k in triplets for r in ("real", "fake", "difference")}
    for own in triplets:
        expected = MIDDLE + of_fourth[own, "real"] - of_fourth[own, "fake"]
        assert np.array_equal(of_fourth[own, "difference"], np.clip(expected, 0, 65535))
    assert {(i.label, i.looks) for i in key.images if i.role == "fake"} == {
        ("negative", "positive"),
        ("positive", "negative"),
    }


def test_the_panels_of_a_triplet_are_original_adversarial_and_difference(study: Workspace) -> None:
    study_plan = ReadingFolder(study.reading("study")).load()
    key = {image.image: image for image in ReadingKey.load(study.reading_key("study")).images}
    for place in study_plan.session(4).places:
        assert [key[name].role for name in place.images] == ["real", "fake", "difference"]
        assert len({key[name].key for name in place.images}) == 1


def test_nothing_in_the_folder_tells_which_image_is_which(study: Workspace) -> None:
    folder = ReadingFolder(study.reading("study"))
    key = ReadingKey.load(study.reading_key("study"))
    secrets = {text for i in key.images for text in (i.key, i.fake_key, i.patient) if text}
    texts = [path.read_text() for path in (folder.plan_file, folder.path / "plan.md")]
    assert not [secret for secret in secrets for text in texts if secret in text]
    files = list((folder.path / "images").iterdir())
    assert len({(f.stat().st_size, f.stat().st_mtime_ns, f.stat().st_mode) for f in files}) == 1
    assert all(re.fullmatch(r"[0-9a-f]{32}\.raw", file.name) for file in files)
    written = sorted(files, key=lambda file: file.stat().st_ctime_ns)
    assert [file.name for file in written] == sorted(file.name for file in files)
    private = (study.reading_key("study"), folder.plan_file, folder.path / "plan.md")
    assert {file.stat().st_mode & 0o777 for file in private} == {0o600}
    assert {path.name for path in folder.path.iterdir()} == {"images", "plan.md", "reading.json"}


def test_the_names_are_new_in_every_drawing_but_the_seed_decides_images_and_orders(
    study: Workspace, readable: Workspace
) -> None:
    again, own = drawn(readable)
    first, key = ReadingFolder(study.reading("study")), ReadingKey.load(study.reading_key("study"))
    assert {i.image for i in own.images}.isdisjoint(i.image for i in key.images)
    assert sorted((i.session, i.key, i.role) for i in own.images) == sorted(
        (i.session, i.key, i.role) for i in key.images
    )
    for reader in TWO.readers:
        for session in range(1, 6):
            orders = [
                [{i.image: i.key for i in k.images}[p.images[0]] for p in folder.load().order_of(reader, session)]
                for folder, k in ((first, key), (again, own))
            ]
            assert orders[0] == orders[1]


def test_the_plan_for_people_has_counts_rules_audit_and_deviations(study: Workspace) -> None:
    text = (study.reading("study") / "plan.md").read_text()
    for expected in (
        "## Sessions",
        "(218)",
        "Sessions 3 and 5 have",
        "phantoms",
        "share of zeros",
    ):
        assert expected in text
    counted = Counter(i.role for i in ReadingKey.load(study.reading_key("study")).of_session(3))
    assert f"| 3 | real, not real or unsure | {counted['real']} (218) |" in text
    assert "no two with the same pixels" in text and "The air around the breast is the original's" in text


def test_the_plan_says_what_phantoms_were_drawn(study: Workspace) -> None:
    folder = ReadingFolder(study.reading("study"))
    assert folder.load().phantoms == Phantoms("phantom mammograms, lesion contrast x12.5")
    assert PHANTOMS_ONLY in folder.load().notes
    assert "GB, phantom mammograms, lesion contrast x12.5. Research images" in (folder.path / "plan.md").read_text()


def test_a_plan_that_shows_phantoms_and_patients_says_how_many_of_each(readable: Workspace) -> None:
    called_patients(readable, ("test", "validation"))
    folder, key = drawn(readable)
    of_phantoms = len({image.key for image in key.images if image.split == "train"})
    of_patients = len({image.key for image in key.images if image.split != "train"})
    phantoms = folder.load().phantoms
    assert phantoms.and_patients and not phantoms.only
    assert f"{of_phantoms} phantom mammograms, lesion contrast x12.5 (" in phantoms.kind
    assert f"{of_patients} mammograms of patients (" in phantoms.kind
    assert any(note.startswith(f"Counted together: {phantoms.kind}") for note in folder.load().notes)


def test_a_plan_of_patients_does_not_speak_of_phantoms(readable: Workspace) -> None:
    called_patients(readable, SPLITS)
    folder, _ = drawn(readable)
    assert not folder.load().phantoms.kind and "hantom" not in (folder.path / "plan.md").read_text()


def called_patients(workspace: Workspace, splits: Sequence[str]) -> None:
    """Let the mammograms of these splits no longer say that they are synthetic, and make their adversarial images."""
    index = workspace.shards(SMALL) / "index.json"
    for tar in [tar for split in splits for tar in index.parent.glob(f"{split}-*.tar")]:
        before = sha256(tar)
        tar.write_bytes(tar.read_bytes().replace(b'"synthetic": true', b'"synthetic":false'))
        write_record(index, json.loads(json.dumps(read_record(index)).replace(before, sha256(tar))))
    for direction in Direction:
        save_gnet(workspace, SMALL, direction)
    generate(workspace, GenerateConfig(device="cpu", split=SPLITS, allow_train=True))


def test_a_complete_study_is_left_alone_and_another_one_does_not_overwrite_it(
    readable: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = drawn(readable)
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}
    drawn(readable)
    assert "drawn already and unchanged" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"was drawn from something else \(readers\).*another --name"):
        drawn(readable, DrawConfig(readers=("R1",), seed=3))
    assert {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")} == before
    folder.image(folder.load().images[0].name).unlink()
    with pytest.raises(UserError, match="is missing"):
        drawn(readable)


def test_a_drawing_that_was_killed_continues_with_the_same_images(
    readable: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["launch/draw_reading.py", "--workspace", str(readable.root), "--readers", "R1"]
    process = subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL)
    images, end = readable.reading("study") / "images", time.monotonic() + 120
    while len(list(images.glob("*.raw"))) < 5 and time.monotonic() < end:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    folder, key_file = ReadingFolder(readable.reading("study")), readable.reading_key("study")
    assert not folder.complete
    key = ReadingKey.load(key_file)
    there = {path: path.stat().st_ino for path in images.glob("*.raw")}
    assert 5 <= len(there) < len(key.images)
    one, another = list(there)[:2]
    meant = one.read_bytes(), another.read_bytes()
    one.write_bytes(meant[1])
    another.write_bytes(bytes(len(meant[1])))
    drawn(readable, DrawConfig(readers=("R1",)))
    assert "the drawing continues" in capsys.readouterr().out
    assert ReadingKey.load(key_file) == key
    folder.check(folder.load())
    assert (one.read_bytes(), another.read_bytes()) == meant, "exchanged and emptied while it was interrupted"
    assert all(path.stat().st_ino == inode for path, inode in there.items() if path not in (one, another))
    assert sorted(path.name for path in folder.path.iterdir()) == ["images", "plan.md", "reading.json"]
    assert {image.name for image in folder.load().images} == {image.image for image in key.images}


def test_a_folder_without_its_key_is_not_touched(readable: Workspace) -> None:
    folder, _ = drawn(readable)
    readable.reading_key("study").unlink()
    with pytest.raises(UserError, match=r"its key .* does not"):
        drawn(readable)
    folder.check(folder.load())


def test_missing_adversarial_images_are_named_by_the_commands_that_make_them(readable: Workspace) -> None:
    for tar in readable.adversarial(SMALL).glob("*.tar"):
        if not tar.name.startswith("test"):
            tar.unlink()
    with pytest.raises(MissingInput) as raised:
        drawn(readable)
    commands = [line.split() for line in str(raised.value).splitlines() if line.startswith("  mammogan generate")]
    assert len(commands) == 2 and not readable.reading("study").exists()
    for words in commands:
        assert execute(parse(Options, [*words[2:], "--device", "cpu", "--cluster", "none"])) == 0
    folder, _ = drawn(readable)
    assert folder.complete


def test_a_reading_that_shows_light_in_the_air_is_refused_unless_it_is_allowed(
    converted: Workspace, tmp_path: Path
) -> None:
    glowing = readable_phantoms(converted, tmp_path / "work", "as-generated")
    generated = DrawConfig(readers=("R1",), seed=3, background="as-generated")
    with pytest.raises(UserError, match="could be told from originals without looking at the breast"):
        drawn(glowing, generated)
    assert not glowing.reading("study").exists() and not glowing.reading_key("study").exists()
    shown, key = drawn(glowing, DrawConfig(readers=("R1",), seed=3, background="as-generated", allow_cues=True))
    assert any("can be told from originals by share of zeros" in note for note in shown.load().notes)
    presented, own = drawn(glowing, DrawConfig(readers=("R1",), seed=3, name="presented"))
    corner = {row["name"]: row for row in own.cues}["corner grey at the default window"]
    assert corner["auc"] == 0.5 and {row["name"]: row for row in key.cues}[corner["name"]]["auc"] == 1.0
    for folder, facts, lit in ((shown, key, True), (presented, own, False)):
        for image in facts.of_session(3):
            assert bool(pixels(folder, image.image)[:4, -4:].any()) == (lit and image.role == "fake")


def test_images_saved_with_the_originals_air_cannot_be_shown_as_generated(readable: Workspace) -> None:
    with pytest.raises(UserError, match="were saved with the original's background; make them again"):
        drawn(readable, DrawConfig(background="as-generated"))


@pytest.mark.parametrize("kind", ["original", "adversarial"])
def test_nothing_is_drawn_from_a_shard_that_was_changed(readable: Workspace, kind: str) -> None:
    folder = readable.shards(SMALL) if kind == "original" else readable.adversarial(SMALL)
    tar = min(folder.glob("validation-*.tar"))
    changed = bytearray(tar.read_bytes())
    changed[-600] ^= 1  # behind the last sample, which any reader of samples would overlook
    tar.write_bytes(changed)
    with pytest.raises(UserError, match=rf"{tar.name} is damaged: .*sha256 is not the one that was recorded"):
        drawn(readable)
    assert not readable.reading("study").exists()


def test_unsuitable_mammograms_and_unchanged_images_are_left_out_and_counted(readable_once: Workspace) -> None:
    pool = find_pool(readable_once, SMALL, "original", False, 10)
    assert len(pool.sources) + pool.left_out.total() == sum(
        s.count for s in ShardIndex.load(readable_once.shards(SMALL)).shards
    )


def test_low_readers_have_a_plan_of_their_own_or_the_same_images(readable: Workspace, phantom: Path) -> None:
    with pytest.raises(MissingInput, match="shards of a second resolution"):
        drawn(readable, DrawConfig(low_readers=("R1",)))
    result = run_script(
        "shards/make_shards.py", "--cohort", phantom / "labels.csv", "--workspace", readable.root,
        "--resolution", "128x96", "--jobs", "1",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    for direction in Direction:
        save_gnet(readable, Resolution(128, 96), direction)
    splits = ("train", "validation", "test")
    generate(readable, GenerateConfig(device="cpu", split=splits, allow_train=True, resolution=("128x96",)))
    config = DrawConfig(readers=("R1", "R2"), low_readers=("R2",), low_same_images=True, seed=3)
    high, low = draw_reading(readable, config)
    plans = high.load(), low.load()
    assert [(plan.resolution, plan.height, plan.readers) for plan in plans] == [
        ("high", 128, ("R1", "R2")),
        ("low", 96, ("R2",)),
    ]
    keys = [ReadingKey.load(readable.reading_key(name)) for name in ("study", "study-low")]
    shown = [sorted((i.session, i.key, i.role) for i in key.images) for key in keys]
    assert shown[0] == shown[1] and keys[0].identity != keys[1].identity
    orders = [
        [{i.image: i.key for i in key.images}[p.images[0]] for p in plan.order_of(plan.readers[0], 1)]
        for plan, key in zip(plans, keys, strict=True)
    ]
    assert orders[0] != orders[1]
    assert any("may remember images" in note for note in plans[1].notes)


def test_other_education_and_more_questions_are_in_the_plan(readable: Workspace, tmp_path: Path) -> None:
    texts = tmp_path / "texts.yaml"
    texts.write_text("consent: |\n  Ich nehme teil.\nblind: Echt?\n", encoding="utf-8")
    more = DrawConfig(
        readers=("R1",), name="more", education="feedback", cancer_question="1-5", click_question=True, texts=texts,
        simulated=True,
    )  # fmt: skip
    folder, key = drawn(readable, more)
    plan = folder.load()
    truth = {"real": "real", "fake": "not real"}
    role = {image.image: image.role for image in key.images}
    assert plan.session(4).kind == "feedback" and plan.simulated and plan.difference_scale == 0
    assert all(place.truth == truth[role[place.images[0]]] for place in plan.session(4).places)
    assert not any(place.truth for number in (1, 2, 3, 5) for place in plan.session(number).places)
    assert (plan.questions.cancer, plan.questions.click, plan.consent) == ("1-5", True, "Ich nehme teil.")
    assert {plan.session(number).instructions for number in (2, 3, 5)} == {"Echt?"}
    assert "The readers are simulated, not people." in plan.notes
    outlined = DrawConfig(readers=("R1",), name="outlined", education="outlined")
    places = drawn(readable, outlined)[0].load().session(4).places
    assert places and all(place.outline and place.outline.radius > 0 for place in places)
    texts.write_text("consnt: x\n")
    with pytest.raises(UserError, match="unknown text consnt; expected some of consent"):
        drawn(readable, more)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"readers": ("Anna Smith",)}, "must not be the name of a person"),
        ({"readers": ("R1", "r1")}, "occurs twice"),
        ({"readers": ()}, "at least one code"),
        ({"name": "../x"}, "expected small letters"),
        ({"scale": 0.0}, "more than 0"),
        ({"seed": -1}, "expected 0 to"),
        ({"low_same_images": True}, "--low-readers"),
    ],
)
def test_options_that_make_no_sense_are_refused(values: dict[str, object], expected: str) -> None:
    with pytest.raises(UserError, match=re.escape(expected)):
        DrawConfig(**values)  # type: ignore[arg-type]


def test_of_training_only_the_first_shards_are_made_adversarial_if_that_is_requested(readable: Workspace) -> None:
    config = GenerateConfig(device="cpu", split=("train", "test"), allow_train=True, train_shards=1)
    names = [task.name for task in plan(readable, SMALL, config)]
    assert sorted(names) == sorted(f"{s}-{d}-000000.tar" for s in ("train", "test") for d in ("remove", "insert"))
    assert read_json(readable.adversarial(SMALL) / "index.json")["counts"]["train"]["positive"] > 0
