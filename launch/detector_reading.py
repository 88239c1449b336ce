"""Let two detectors that see only pixels read a drawn study, to stand beside the readers."""

try:
    from mammogan.cli.detector_reading import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
