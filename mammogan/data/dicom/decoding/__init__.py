"""Decode compressed pixels: which decoder there is, whether the stream is whole, and what a doctor says of it."""
