"""For each rule a program in which it fires and one that looks alike and stays silent."""
