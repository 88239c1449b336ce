"""Divide a cohort for cross-validation, one table a fold."""

try:
    from mammogan.cli.fold_tables import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
