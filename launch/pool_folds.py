"""Pool the Table 1 of all folds of a cross-validation."""

from mammogan.cli.pool_folds import main

if __name__ == "__main__":
    main()
