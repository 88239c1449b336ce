"""Draw a reader study from a workspace, into WORKSPACE/reading/<name>/."""

from mammogan.cli.draw_reading import main

if __name__ == "__main__":
    main()
