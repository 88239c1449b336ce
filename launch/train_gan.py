"""Train the generators of one resolution against their discriminators, starting from its trained classifier."""

from mammogan.cli.train_gan import main

if __name__ == "__main__":
    main()
