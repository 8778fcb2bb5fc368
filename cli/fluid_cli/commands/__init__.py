"""The commands, one module for each group of them: they parse, call the rooms beside this one, and print."""
