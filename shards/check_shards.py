"""Check finished shards, and draw a page of pictures of them."""

from mammogan.cli.check_shards import main

if __name__ == "__main__":
    main()
