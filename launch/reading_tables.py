"""Make Tables 2 to 4 of a reader study, with statistics that hold, and a page that shows them."""

from mammogan.cli.reading_tables import main

if __name__ == "__main__":
    main()
