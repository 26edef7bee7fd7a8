"""The command line: one file a command, thin; the only code that prints or exits."""
