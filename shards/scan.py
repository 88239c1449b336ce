"""Make the cohort table of a mammogram archive as it was downloaded; mammogan make-shards reads it."""

from mammogan.cli.scan import main

if __name__ == "__main__":
    main()
