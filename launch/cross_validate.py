"""Run the study once for every fold and seed, and pool their Table 1."""

try:
    from mammogan.cli.cross_validate import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
