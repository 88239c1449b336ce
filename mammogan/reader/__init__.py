"""The human reader study: draw its images, show them to readers, and keep their answers."""
