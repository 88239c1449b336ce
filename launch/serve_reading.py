"""Show a drawn reader study to its readers in their browsers."""

try:
    from mammogan.cli.serve_reading import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
