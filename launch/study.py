"""Run the whole study: shards, CAD, both GANs, altered mammograms, evaluation; what is done is skipped."""

try:
    from mammogan.cli.study import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
