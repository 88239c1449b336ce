"""Show a drawn reader study to its readers in their browsers."""

from mammogan.cli.serve_reading import main

if __name__ == "__main__":
    main()
