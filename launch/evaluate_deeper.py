"""Measure what Table 1 leaves open, and write WORKSPACE/report/beyond/<size>/beyond.html."""

try:
    from mammogan.cli.evaluate_deeper import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
