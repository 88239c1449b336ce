"""Look at what was made, and at what was left out: pages of small 8-bit pictures."""

from mammogan.cli.preview import main

if __name__ == "__main__":
    main()
