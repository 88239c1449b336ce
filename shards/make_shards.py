"""Turn DICOM mammograms into the tar shards that every later stage reads."""

from mammogan.cli.make_shards import main

if __name__ == "__main__":
    main()
