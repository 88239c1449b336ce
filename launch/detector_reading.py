"""Let two detectors that see only pixels read a drawn study, to stand beside the readers."""

from mammogan.cli.detector_reading import main

if __name__ == "__main__":
    main()
