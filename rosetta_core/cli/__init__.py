"""The command line: commands, help and terminal output."""
