"""Let simulated readers read a drawn study, to try everything before people spend hours on it."""

try:
    from mammogan.cli.simulate_reading import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
