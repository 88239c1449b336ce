"""Let simulated readers read a drawn study, to try everything before people spend hours on it."""

from mammogan.cli.simulate_reading import main

if __name__ == "__main__":
    main()
