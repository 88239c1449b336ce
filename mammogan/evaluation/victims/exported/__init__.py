"""Load .pt2 files of torch.export that somebody else made, so that nothing in them decides what runs here."""
