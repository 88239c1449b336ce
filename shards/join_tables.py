"""Join the cohort tables of several archives into one."""

from mammogan.cli.join_tables import main

if __name__ == "__main__":
    main()
