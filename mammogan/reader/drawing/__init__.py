"""Draw a reader study: choose, order, present and audit its images, and write its folder and key."""
