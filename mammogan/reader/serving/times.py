"""Counts how long an answer took: what a browser reports is believed only as far as the server's clock saw it pass."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Times:
    """The times of one answer in ms: Unix time by the server's clock, and durations as the browser sent them."""

    shown_ms: int
    answered_ms: int
    client_ms: int
    away_ms: int
    simulated: bool
    """Simulated readers do not wait, so only their own clock says how long they took."""

    @property
    def reading(self) -> int:
        """Time without breaks, as the browser reported it; never more than the server's clock saw pass."""
        return min(self.client_ms, self.wall)

    @property
    def wall(self) -> int:
        """Time with breaks."""
        return self.client_ms + self.away_ms if self.simulated else self.answered_ms - self.shown_ms
