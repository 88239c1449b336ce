"""Train the generators of one resolution against their discriminators, starting from its trained classifier."""

try:
    from mammogan.cli.train_gan import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
