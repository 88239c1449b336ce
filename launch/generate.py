"""Alter every mammogram of a split with the generator of its class, into WORKSPACE/adversarial/<resolution>/."""

try:
    from mammogan.cli.generate import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
