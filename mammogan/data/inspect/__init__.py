"""Inspect finished shards: checks, contact sheets, previews, near duplicates."""
