"""Miniatures of public archives, each in its own dialect: file names, table columns, header quirks."""
