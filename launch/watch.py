"""Show how every stage of a workspace stands: its job or process, restarts, phase, epoch, figures, speed, time left."""

try:
    from mammogan.cli.watch import main
except ModuleNotFoundError as missing:
    raise SystemExit(f"error: this Python lacks {missing.name}: source .venv/bin/activate, or make install") from None

if __name__ == "__main__":
    main()
