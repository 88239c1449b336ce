"""Check what a plan says without its key: every reader sees every place once, and no image is shown twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mammogan.errors import UserError
from mammogan.reader.plan import ReadingPlan


@dataclass(frozen=True)
class Check:
    """One rule: the sentence that holds, with its counts, and what was found against it."""

    sentence: str
    faults: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.sentence}: {'; '.join(self.faults)}" if self.faults else self.sentence


def check_plan(plan: ReadingPlan) -> list[Check]:
    """Return the rules of the plan itself. A server runs them before it shows anything."""
    return [
        _sessions(plan),
        _places(plan),
        _images(plan),
        Check(
            f"each of the {len(plan.readers)} readers sees every place of every session exactly once",
            tuple(_orders(plan)),
        ),
    ]


def refuse(checks: Sequence[Check], where: str) -> None:
    """Raise UserError that lists every broken rule; ``where`` names the folder or the plan."""
    if broken := [str(check) for check in checks if check.faults]:
        raise UserError(f"{where} breaks the rules of a reader study:\n  " + "\n  ".join(broken))


def _sessions(plan: ReadingPlan) -> Check:
    numbers = [session.number for session in plan.sessions]
    faults = [f"sessions are numbered {numbers}"] if numbers != list(range(1, len(numbers) + 1)) or not numbers else []
    faults += [f"session {session.number} is empty" for session in plan.sessions if not session.places]
    faults += [f"{reader} is listed twice" for reader, count in Counter(plan.readers).items() if count > 1]
    return Check(f"{len(numbers)} sessions, numbered from 1, with {_sizes(plan)} places", tuple(faults))


def _sizes(plan: ReadingPlan) -> str:
    return ", ".join(str(len(session.places)) for session in plan.sessions)


def _places(plan: ReadingPlan) -> Check:
    """Check the number of images of each place, and that no session but feedback says the truth."""
    faults = []
    for session in plan.sessions:
        panels = 3 if session.kind == "triplet" else 1
        faults += [
            f"a place of session {session.number} has {len(place.images)} images, {panels} expected"
            for place in session.places
            if len(place.images) != panels
        ]
        if session.kind != "feedback" and any(place.truth for place in session.places):
            faults.append(f"session {session.number} ({session.kind}) holds truth")
        if session.kind == "feedback" and any(place.truth not in ("real", "not real") for place in session.places):
            faults.append(f"session {session.number} (feedback) lacks the truth of a place")
        if [place.images for place in session.places] != sorted(place.images for place in session.places):
            faults.append(f"the places of session {session.number} are not sorted by image name")
    return Check("every place has one image, or the three of a triplet", tuple(faults))


def _images(plan: ReadingPlan) -> Check:
    shown = Counter(image for session in plan.sessions for place in session.places for image in place.images)
    shown.update(plan.practice)
    listed = {image.name for image in plan.images}
    faults = [f"{image} is shown in {count} places" for image, count in shown.items() if count > 1]
    faults += [f"{image} is shown, but has no file" for image in sorted(set(shown) - listed)]
    faults += [f"{image} is never shown" for image in sorted(listed - set(shown))]
    return Check(f"{len(listed)} image files, each shown in one place of one session", tuple(faults))


def _orders(plan: ReadingPlan) -> Iterator[str]:
    if set(plan.orders) != set(plan.readers):
        yield f"orders are of {', '.join(sorted(plan.orders))}, readers are {', '.join(plan.readers)}"
    for reader, of_reader in plan.orders.items():
        if set(of_reader) != {session.number for session in plan.sessions}:
            yield f"{reader} has orders of sessions {sorted(of_reader)}"
            continue
        for session in plan.sessions:
            if sorted(of_reader[session.number]) != list(range(len(session.places))):
                yield f"{reader} does not see every place of session {session.number} once"
