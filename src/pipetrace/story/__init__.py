"""Records become blocks here, one file per section of the page; nothing here imports torch."""
