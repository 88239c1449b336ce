"""What the answers of a reader study mean: accuracy, detection, comparisons of sessions, readers as a sample."""
