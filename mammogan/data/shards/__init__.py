"""Read the shard format: tar files with 16-bit pixels and JSON, and their index."""
