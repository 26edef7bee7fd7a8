"""The measurement engine, one question a file."""
