"""Look at what was made, and at what was left out: pages of small 8-bit pictures."""

try:
    from mammogan.cli.preview import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
