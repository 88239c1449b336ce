"""Run the whole study: shards, CAD, both GANs, altered mammograms, evaluation; what is done is skipped."""

from mammogan.cli.study import main

if __name__ == "__main__":
    main()
