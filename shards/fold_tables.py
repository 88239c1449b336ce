"""Divide a cohort for cross-validation, one table a fold."""

from mammogan.cli.fold_tables import main

if __name__ == "__main__":
    main()
