"""One module per command, with its options and what it runs. mammogan, launch/ and shards/ start them."""
