"""Train the classifier (CAD) of one resolution on the shards of a workspace."""

from mammogan.cli.train_cad import main

if __name__ == "__main__":
    main()
