"""Turn DICOM mammograms into the tar shards that every later stage reads."""

try:
    from mammogan.cli.make_shards import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
