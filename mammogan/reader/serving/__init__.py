"""Serve a drawn reader study to its readers, and keep their answers. Nothing here knows the truth."""
