"""Make Tables 2 to 4 of a reader study, with statistics that hold, and a page that shows them."""

try:
    from mammogan.cli.reading_tables import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
