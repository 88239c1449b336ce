"""Make mammograms adversarial: attack methods, and the generation of adversarial shards and DICOM files."""
