"""Train the classifier (CAD) of one resolution on the shards of a workspace."""

try:
    from mammogan.cli.train_cad import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
