"""Alter every mammogram of a split with the generator of its class, into WORKSPACE/adversarial/<resolution>/."""

from mammogan.cli.generate import main

if __name__ == "__main__":
    main()
