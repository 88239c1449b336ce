"""Files, command-line options, terminal output and provenance, for all other packages."""
