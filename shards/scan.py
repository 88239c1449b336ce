"""Make the cohort table of a mammogram archive as it was downloaded; mammogan make-shards reads it."""

try:
    from mammogan.cli.scan import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
