"""Make batches for training from shards: paired stream, augmentation, transfer to the device."""
