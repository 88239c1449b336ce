"""The words for the side of a breast; apart, because reading the words of tables needs no pydicom."""

SIDES = {"L": "L", "LEFT": "L", "R": "R", "RIGHT": "R"}
"""The sides as headers and tables write them, in capitals."""
