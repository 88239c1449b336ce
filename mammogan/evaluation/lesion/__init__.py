"""Measure whether the attack changes the lesion, and the controls needed to judge it."""
