"""A study that was drawn is served as it is, and a reader who looks only at the border learns nothing from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reading_clients import Client
from reading_servers import Served
from readings import readable_phantoms

from mammogan.attack.config import Background
from mammogan.reader.config import DrawConfig
from mammogan.reader.drawing.draw_folder import draw_reading
from mammogan.reader.key import ReadingKey
from mammogan.workspace import Workspace

WATCHED = 6
"""Width of the border that the watcher looks at, in pixels."""


def watch(reader: Client, session: int, shape: tuple[int, int], window: tuple[int, int]) -> None:
    """Read a session, looking only at the border on the side of the air: light in it means not real."""
    reader.begin(session)
    asks, total = reader.me()["session"]["asks"], reader.state(session)["total"]
    for position in range(total):
        pixels = np.frombuffer(reader.image(session, position).content, "<u2").reshape(shape)
        grey = 255 * np.clip((pixels.astype(float) - window[0]) / (window[1] - window[0]), 0, 1)
        word = "not real" if grey[:WATCHED, -WATCHED:].max() > 1 else "real"
        assert reader.answer(session, position, word if asks else None).status_code == 200


def said_not_real(workspace: Workspace, config: DrawConfig) -> dict[str, float]:
    """Share of originals and of adversarial images in sessions 3 and 5 that the border watcher calls not real."""
    folder, key = draw_reading(workspace, config)[0], ReadingKey.load(workspace.reading_key(config.title))
    roles = {image.image: image.role for image in key.images}
    served, plan = Served(folder), folder.load()
    for session in range(1, 6):
        watch(served.reader(), session, (plan.height, plan.width), (plan.window.low, plan.window.high))
    told: dict[str, list[bool]] = {"real": [], "fake": []}
    for row in served.store.answers():
        if row[1] in (3, 5):
            told[roles[row[4]]].append(row[5] == "not real")
    served.store.close()
    return {role: float(np.mean(said)) for role, said in told.items()}


@pytest.mark.parametrize("background", ["original", "as-generated"])
def test_a_border_watcher_is_at_chance_unless_images_are_shown_as_generated(
    converted: Workspace, tmp_path: Path, background: Background
) -> None:
    workspace = readable_phantoms(converted, tmp_path / "work", background)
    said = said_not_real(workspace, DrawConfig(readers=("R1",), background=background, allow_cues=True, seed=1))
    assert said["real"] == 0
    assert said["fake"] == 0 if background == "original" else said["fake"] > 0.8
