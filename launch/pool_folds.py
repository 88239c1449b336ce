"""Pool the Table 1 of all folds of a cross-validation."""

try:
    from mammogan.cli.pool_folds import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
