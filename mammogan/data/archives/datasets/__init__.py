"""One module for each archive: it recognises the archive and translates its labels."""
