"""Questions leave the page for the programs that teachers use, one file for each format."""
