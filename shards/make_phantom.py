"""Make a cohort of phantom mammograms: true DICOM files of nobody, with every lesion known."""

try:
    from mammogan.cli.make_phantom import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
