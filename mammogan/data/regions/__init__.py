"""Lesion regions that archives have beside their films: boxes, outlines and masks, in one private file by film."""
