"""The plan, its folder and its key: what is written is read back, and every broken rule is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from mammogan.errors import MissingInput, UserError
from mammogan.reader.folder import ReadingFolder
from mammogan.reader.key import KeyImage, ReadingKey
from mammogan.reader.key_checks import check_key
from mammogan.reader.plan import (
    PHANTOMS_ONLY,
    ImageFile,
    Outline,
    Phantoms,
    Place,
    Questions,
    ReadingPlan,
    Session,
    Window,
)
from mammogan.reader.plan_checks import Check, check_plan, refuse

SIZE = 96 * 96 * 2
GAPS = dict.fromkeys(range(1, 6), 1)


def name(number: int) -> str:
    return f"{number:032x}"


def of_session(session: int, places: int, start: int) -> list[KeyImage]:
    """Images of one session, each of a patient of their own; half of the blind ones are adversarial."""
    roles = {4: ("real", "fake", "difference")}
    split, images = "test" if session in (3, 5) else "train", []
    for place in range(places):
        key = f"k{session}-{place}"
        for role in roles.get(session, ("fake",) if session in (3, 5) and place % 2 else ("real",)):
            number = start + len(images)
            fake_key = "" if role == "real" else f"{key}-insert"
            looks = "positive" if role == "fake" else "negative"
            images.append(KeyImage(name(number), session, role, key, fake_key, f"p{key}", split, "negative", looks))
    return images


def study() -> tuple[ReadingPlan, ReadingKey]:
    """A plan of two readers with four places a session, and its key."""
    images: list[KeyImage] = []
    for session in range(1, 6):
        images += of_session(session, 4, len(images) + 1)
    key = ReadingKey("s", name(0), 1, {}, {}, tuple(images), (0, 9), 5, (), {}, (), (("k3-0", "k5-0"),))
    sessions = []
    for number, kind in enumerate(("known", "blind", "blind", "triplet", "blind"), 1):
        names = [image.image for image in images if image.session == number]
        panels = 3 if kind == "triplet" else 1
        places = [Place(tuple(names[at : at + panels])) for at in range(0, len(names), panels)]
        sessions.append(Session(number, kind, f"Session {number}", "Look.\n\nAnswer.", tuple(places)))
    files = tuple(ImageFile(i.image, sha256(i.image.encode()).hexdigest()) for i in images)
    orders = {reader: dict.fromkeys(range(1, 6), (2, 0, 1, 3)) for reader in ("R1", "R2")}
    plan = ReadingPlan(
        "s", name(0), "0", 96, 96, "high", False, Window(0, 9), 5, ("R1", "R2"), tuple(sessions), orders, (), "",
        "End.", Questions(), ("A note.",), files,
    )  # fmt: skip
    return plan, key


PLAN, KEY = study()


def broken(checks: list[Check]) -> list[str]:
    return [str(check) for check in checks if check.faults]


def with_session(number: int, **changes: object) -> ReadingPlan:
    return replace(PLAN, sessions=tuple(replace(s, **changes) if s.number == number else s for s in PLAN.sessions))


def test_a_plan_is_read_back_equal_from_its_json() -> None:
    place = Place((name(77),), "not real", Outline(1.5, 2, 3))
    plan = with_session(2, kind="feedback", places=(place,))
    assert ReadingPlan.from_json(json.loads(json.dumps(plan.to_json())), "x") == plan
    assert ReadingPlan.from_json(json.loads(json.dumps(PLAN.to_json())), "x").order_of("R2", 1)[0].images == (name(3),)


def test_a_plan_of_phantoms_says_so_and_an_older_one_says_it_by_its_note() -> None:
    drawn = replace(PLAN, phantoms=Phantoms("phantom mammograms, lesion contrast x2"))
    assert ReadingPlan.from_json(json.loads(json.dumps(drawn.to_json())), "x") == drawn and drawn.phantoms.only
    older = {name: value for name, value in PLAN.to_json().items() if name != "phantoms"}
    assert not ReadingPlan.from_json(older, "x").phantoms.kind
    noted = older | {"notes": ["The readers are simulated, not people.", PHANTOMS_ONLY]}
    assert ReadingPlan.from_json(noted, "x").phantoms == Phantoms("phantom mammograms")


@pytest.mark.parametrize("change", [{"schema": 2}, {"unknown": 1}, {"orders": []}, {"images": [{"name": 1}]}])
def test_what_is_no_plan_of_this_version_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"reading\.json is no plan of a reader study that this version can read"):
        ReadingPlan.from_json(PLAN.to_json() | change, "reading.json")


def test_a_sound_plan_breaks_no_rule() -> None:
    checks = [*check_plan(PLAN), *check_key(PLAN, KEY, GAPS, overlap=False)]
    assert not broken(checks) and len(checks) == 11
    refuse(checks, "x")


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (replace(PLAN, sessions=PLAN.sessions[1:]), "sessions are numbered"),
        (with_session(1, places=()), "session 1 is empty"),
        (replace(PLAN, readers=("R1", "R1")), "R1 is listed twice"),
        (with_session(4, kind="blind"), "a place of session 4 has 3 images, 1 expected"),
        (with_session(2, places=tuple(replace(p, truth="real") for p in PLAN.session(2).places)), "holds truth"),
        (with_session(2, kind="feedback"), "lacks the truth"),
        (with_session(2, places=PLAN.session(2).places[::-1]), "not sorted by image name"),
        (with_session(3, places=PLAN.session(2).places), "is shown in 2 places"),
        (replace(PLAN, images=PLAN.images[1:]), "is shown, but has no file"),
        (replace(PLAN, images=(*PLAN.images, ImageFile("f", ""))), "f is never shown"),
        (replace(PLAN, orders={"R1": PLAN.orders["R1"]}), "orders are of R1"),
        (replace(PLAN, orders=PLAN.orders | {"R2": {1: (0, 1, 2, 3)}}), "R2 has orders of sessions"),
        (replace(PLAN, orders=PLAN.orders | {"R2": PLAN.orders["R2"] | {3: (0, 0, 1, 2)}}), "R2 does not see every"),
    ],
)
def test_every_rule_of_the_plan_is_checked(plan: ReadingPlan, expected: str) -> None:
    assert any(expected in sentence for sentence in broken(check_plan(plan)))
    with pytest.raises(UserError, match="breaks the rules of a reader study"):
        refuse(check_plan(plan), "x")


def changed(session: int, place: int, **changes: object) -> ReadingKey:
    """The key with other facts of one place."""
    own = f"k{session}-{place}"
    return replace(KEY, images=tuple(replace(i, **changes) if i.key == own else i for i in KEY.images))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (replace(KEY, identity=name(9)), "they are of different drawings"),
        (replace(KEY, images=KEY.images[1:]), "1 differ"),
        (changed(5, 0, key="k3-1"), "k3-1 is in sessions [3, 5]"),
        (changed(1, 0, key="k4-0"), "k4-0 is in sessions [1, 4]"),
        (changed(5, 0, patient="pk3-1"), "pk3-1 is in both"),
        (changed(5, 0, split="train"), "k5-0 (train) is in session 5"),
        (changed(1, 0, split="test"), "k1-0 (test) is in session 1"),
        (changed(3, 0, role="fake"), "session 3 has"),
    ],
)
def test_every_rule_about_mammograms_and_patients_is_checked(key: ReadingKey, expected: str) -> None:
    found = broken(check_key(PLAN, key, GAPS, overlap=False))
    assert any(expected in sentence for sentence in found), found


def test_equal_pixels_and_near_images_of_one_patient_are_found() -> None:
    files = tuple(replace(image, sha256="same") if image.name in (name(1), name(2)) else image for image in PLAN.images)
    assert "2 images have the same pixels" in broken(check_key(replace(PLAN, images=files), KEY, GAPS, False))[0]
    near = changed(3, 0, patient="pk3-1")  # 0 and 1 follow each other in the order 2 0 1 3
    assert not broken(check_key(PLAN, near, GAPS, False))
    assert "R1, session 3: 1" in broken(check_key(PLAN, near, GAPS | {3: 2}, False))[0]


def test_session_4_may_repeat_mammograms_only_if_that_was_requested() -> None:
    key = changed(1, 0, key="k4-0")
    assert broken(check_key(PLAN, key, GAPS, overlap=False)) and not broken(check_key(PLAN, key, GAPS, overlap=True))


def written(path: Path) -> ReadingFolder:
    """A folder with black images, and the plan of it."""
    folder, black = ReadingFolder(path), bytes(SIZE)
    files = tuple(ImageFile(image.name, sha256(black).hexdigest()) for image in PLAN.images)
    for image in files:
        folder.write_image(image.name, black)
    folder.write_plan(replace(PLAN, images=files))
    return folder


def test_a_folder_is_complete_once_its_plan_is_written_and_all_its_files_look_alike(tmp_path: Path) -> None:
    folder = ReadingFolder(tmp_path / "s")
    with pytest.raises(MissingInput, match="mammogan draw-reading"):
        folder.load()
    folder = written(tmp_path / "s")
    folder.check(folder.load())
    states = {(f.stat().st_size, f.stat().st_mtime_ns, f.stat().st_mode & 0o777) for f in folder.path.glob("images/*")}
    assert states == {(SIZE, 946_684_800_000_000_000, 0o600)}
    assert folder.plan_file.stat().st_mode & 0o777 == 0o600


def test_what_a_file_manager_leaves_among_the_images_is_passed_over(tmp_path: Path) -> None:
    folder = written(tmp_path / "s")
    for left in (".DS_Store", f"._{folder.image(name(1)).name}", "Thumbs.db"):
        (folder.path / "images" / left).write_bytes(b"x")
    folder.check(folder.load())


def test_files_that_are_missing_cut_changed_or_foreign_are_named(tmp_path: Path) -> None:
    folder = written(tmp_path / "s")
    plan = folder.load()
    folder.image(name(1)).unlink()
    folder.image(name(2)).write_bytes(b"cut")
    folder.image(name(3)).write_bytes(bytes(SIZE - 1) + b"x")
    (folder.path / "images" / "notes.txt").write_text("x")
    found = list(folder.faults(plan))
    assert len(found) == 4
    for file, what in ((1, "is missing"), (2, "has 3 bytes"), (3, "was changed")):
        assert any(name(file) in fault and what in fault for fault in found)
    assert any("notes.txt is not in reading.json" in fault for fault in found)
    assert len(list(folder.faults(plan, hashes=False))) == 3
    with pytest.raises(UserError, match="4 faults in all"):
        folder.check(plan)


def test_a_damaged_plan_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "s")
    os.truncate(folder.plan_file, 100)
    with pytest.raises(UserError, match="is damaged"):
        folder.load()


def test_a_key_is_private_and_read_back_equal(tmp_path: Path) -> None:
    path = tmp_path / "private" / "reading-s" / "key.json"
    KEY.save(path)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert ReadingKey.load(path) == KEY
    path.write_text("{}")
    with pytest.raises(UserError, match="no key of a reader study"):
        ReadingKey.load(path)
    with pytest.raises(MissingInput):
        ReadingKey.load(tmp_path / "none.json")


def test_a_plan_or_a_key_that_was_edited_or_lost_its_bytes_is_refused_with_what_to_do(tmp_path: Path) -> None:
    folder, key = written(tmp_path / "s"), tmp_path / "key.json"
    KEY.save(key)
    for file, load, word, what in (
        (folder.plan_file, folder.load, '"high"', "Copy the folder again"),
        (key, lambda: ReadingKey.load(key), '"negative"', "Bring it back from your copy"),
    ):
        content = file.read_text()
        file.write_text(content.replace(word, word.replace(word[1:-1], "low"), 1))
        with pytest.raises(UserError, match=f"its content was changed after it was written.*{what}"):
            load()
        file.write_bytes(bytes(len(content)))
        with pytest.raises(UserError) as refused:
            load()
        assert str(refused.value).startswith(f"{file} is damaged: it holds only zero bytes, as after a power loss")
        assert what in str(refused.value) and str(refused.value).count(file.name) == 1


def test_a_key_is_believed_only_with_the_plan_that_was_drawn_with_it(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    KEY.save(path)
    plan = replace(PLAN, key_sha256=sha256(path.read_bytes()).hexdigest())
    assert ReadingKey.load_of(plan, path) == KEY
    with pytest.raises(UserError, match="the key of another drawing"):
        ReadingKey.load_of(replace(plan, identity=name(1)), path)
    replace(KEY, seed=KEY.seed + 1).save(path)
    with pytest.raises(UserError, match=r"was changed after the study was drawn.*Bring it back"):
        ReadingKey.load_of(plan, path)


def test_what_a_server_needs_imports_nothing_heavy_and_no_key() -> None:
    program = (
        "import sys, mammogan.reader.plan, mammogan.reader.folder, mammogan.reader.plan_checks\n"
        "print(sorted({'torch', 'numpy', 'scipy', 'mammogan.reader.key'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
