"""Run work on all cores, with limits on time and memory."""
