"""Draw a reader study from a workspace, into WORKSPACE/reading/<name>/."""

try:
    from mammogan.cli.draw_reading import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
