"""Measure what Table 1 leaves open, and write WORKSPACE/report/beyond/<size>/beyond.html."""

from mammogan.cli.evaluate_deeper import main

if __name__ == "__main__":
    main()
