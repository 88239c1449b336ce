"""The texts that readers get before each session, and the coordinator's own in their place."""

from __future__ import annotations

from pathlib import Path

from mammogan.errors import UserError
from mammogan.io.options import read_yaml

BLIND_TEXT = (
    "You will see mammograms one at a time. They may be real mammograms, mammograms that a computer has changed, or a "
    "mixture of both.\n\n"
    "Answer for each image: real, not real, or unsure. You can change your answer until you confirm it. You cannot go "
    "back to an earlier image.\n\n"
    "Take the time you need. You can take a break at any moment; the clock stands still meanwhile."
)
TEXTS = {
    "consent": "",
    "known": (
        "You will see real mammograms, one at a time. No answer is asked. Look at each as long as you like, then go "
        "on to the next. You cannot go back."
    ),
    "blind": BLIND_TEXT,
    "triplet": (
        "You will see three images side by side: a real mammogram, the same mammogram changed by a computer, and the "
        "difference of the two, real minus changed. In the difference, mid grey means no change, brighter means that "
        "the real mammogram is brighter there, darker that the changed one is.\n\n"
        "No answer is asked. Look as long as you like, then go on to the next. You cannot go back."
    ),
    "feedback": BLIND_TEXT + "\n\nIn this session you are told after each answer whether the image was real.",
    "ending": "That was the last image. Thank you. You can close this page.",
}
"""Text by name, as in the file of --texts. blind is shown before sessions 2, 3 and 5 alike."""


def read_texts(path: Path | None) -> dict[str, str]:
    """Return the texts, those of the YAML file ``path`` in place of ours. Raise UserError for an unknown name."""
    own = read_yaml(path) if path else {}
    if unknown := sorted(set(own) - set(TEXTS)):
        raise UserError(f"{path}: unknown text {', '.join(unknown)}; expected some of {', '.join(TEXTS)}")
    if wrong := sorted(name for name, text in own.items() if not isinstance(text, str)):
        raise UserError(f"{path}: {', '.join(wrong)}: expected text, such as\n  consent: |\n    First paragraph.")
    return TEXTS | {name: text.strip() for name, text in own.items()}
