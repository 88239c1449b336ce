"""Find bright blobs in a mammogram, and compact changes between two mammograms."""
