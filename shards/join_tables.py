"""Join the cohort tables of several archives into one."""

try:
    from mammogan.cli.join_tables import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
