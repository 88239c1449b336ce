"""The whole study on this machine in about 20 minutes: phantoms, CAD, generators of both objectives, a page to read."""

from mammogan.cli.demo import main

if __name__ == "__main__":
    main()
