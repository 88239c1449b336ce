"""Check a plan against its key: the rules about mammograms, patients and truth, each as a sentence with its counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from mammogan.reader.drawing.orders import smallest_gap
from mammogan.reader.key import MIXED_SESSIONS, KeyImage, ReadingKey
from mammogan.reader.plan import ReadingPlan
from mammogan.reader.plan_checks import Check


def check_key(plan: ReadingPlan, key: ReadingKey, gaps: dict[int, int], overlap: bool) -> list[Check]:
    """Return the rules that need the key. A key of other images breaks the first rule, and no other is looked at.

    ``gaps``: by session, how many places after an image of a patient her next one may come at the earliest.
    ``overlap``: session 4 may show mammograms of sessions 1 and 2.
    """
    same = _same_images(plan, key)
    if same.faults:
        return [same]
    return [
        same,
        _one_session(key, overlap),
        _patients(key),
        _splits(key),
        _halves(key),
        _equal_files(plan, key, overlap),
        _gaps(plan, key, gaps),
    ]


def _same_images(plan: ReadingPlan, key: ReadingKey) -> Check:
    of_plan = {name: session.number for session in plan.sessions for place in session.places for name in place.images}
    of_plan |= dict.fromkeys(plan.practice, 0)
    of_key = {image.image: image.session for image in key.images}
    faults = [f"{len(set(of_plan.items()) ^ set(of_key.items()))} differ"] if of_plan != of_key else []
    if plan.identity != key.identity:
        faults.append("they are of different drawings")
    return Check(f"the plan and the key list the same {len(of_key)} images in the same sessions", tuple(faults))


def _one_session(key: ReadingKey, overlap: bool) -> Check:
    """No mammogram is shown twice, neither as original and adversarial image nor in two sessions."""
    shown: dict[str, list[int]] = defaultdict(list)
    for image in _panels_once(key.images):
        if not (overlap and image.session == 4):
            shown[image.key].append(image.session)
    twice = {name: where for name, where in shown.items() if len(where) > 1}
    faults = tuple(f"{name} is in sessions {where}" for name, where in twice.items())
    return Check(
        f"{len(shown)} mammograms are shown{' outside session 4' if overlap else ''}, each once: in one session, as "
        "the original or as its adversarial image, and as both in a triplet only",
        faults,
    )


def _panels_once(images: Iterable[KeyImage]) -> Iterator[KeyImage]:
    """Yield one image of each triplet, and all others."""
    differences = {(image.session, image.key) for image in images if image.role == "difference"}
    for image in images:
        if image.role == "difference" or (image.session, image.key) not in differences:
            yield image


def _patients(key: ReadingKey) -> Check:
    third, fifth = ({image.patient for image in key.images if image.session == session} for session in MIXED_SESSIONS)
    faults = tuple(f"{patient} is in both" for patient in sorted(third & fifth))
    return Check(f"the {len(third)} patients of session 3 and the {len(fifth)} of session 5 are different ones", faults)


def _splits(key: ReadingKey) -> Check:
    faults = tuple(
        f"{image.key} ({image.split}) is in session {image.session}"
        for image in key.images
        if (image.split == "train") == (image.session in MIXED_SESSIONS)
    )
    count = sum(image.session in MIXED_SESSIONS for image in key.images)
    return Check(f"the {count} images of sessions 3 and 5 are validation and test images, all others training", faults)


def _halves(key: ReadingKey) -> Check:
    faults, found = [], []
    for session in MIXED_SESSIONS:
        roles = Counter(image.role for image in key.images if image.session == session)
        found.append(f"{roles['real']} + {roles['fake']}")
        if roles["real"] != roles["fake"] or set(roles) != {"real", "fake"}:
            faults.append(f"session {session} has {dict(roles)}")
    return Check(f"sessions 3 and 5 have as many originals as adversarial images ({', '.join(found)})", tuple(faults))


def _equal_files(plan: ReadingPlan, key: ReadingKey, overlap: bool) -> Check:
    """No two images of the study have the same pixels; differences may (nothing was changed in either)."""
    counted = {i.image for i in key.images if i.role != "difference" and not (overlap and i.session == 4)}
    same = Counter(image.sha256 for image in plan.images if image.name in counted)
    faults = tuple(f"{count} images have the same pixels" for count in same.values() if count > 1)
    return Check(f"{len(counted)} images, no two with the same pixels", faults)


def _gaps(plan: ReadingPlan, key: ReadingKey, gaps: dict[int, int]) -> Check:
    patient = {image.image: image.patient for image in key.images}
    faults = []
    for reader in plan.readers:
        for session in plan.sessions:
            found = smallest_gap([patient[p.images[0]] for p in plan.order_of(reader, session.number)])
            if found < gaps[session.number]:
                faults.append(f"{reader}, session {session.number}: {found}")
    least = ", ".join(f"{gap}" for _, gap in sorted(gaps.items()))
    return Check(f"images of one patient are at least {least} places apart in sessions 1, 2, 3, 4 and 5", tuple(faults))
