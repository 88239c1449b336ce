"""Check finished shards, and draw a page of pictures of them."""

try:
    from mammogan.cli.check_shards import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
