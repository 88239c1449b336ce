"""The whole study on this machine in about 20 minutes: phantoms, CAD, generators of both objectives, a page to read."""

try:
    from mammogan.cli.demo import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
