"""Score real and altered mammograms with the CAD and write WORKSPACE/report/: Table 1 with intervals, and a page."""

try:
    from mammogan.cli.evaluate import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
