"""Show how every stage of a workspace stands: its job or process, restarts, phase, epoch, figures, speed, time left."""

from mammogan.cli.watch import main

if __name__ == "__main__":
    main()
