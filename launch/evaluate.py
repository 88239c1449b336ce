"""Score real and altered mammograms with the CAD and write WORKSPACE/report/: Table 1 with intervals, and a page."""

from mammogan.cli.evaluate import main

if __name__ == "__main__":
    main()
