"""Any past run again: what a run came from as a git commit (`capture`), and the same run from it (`reproduce`)."""
