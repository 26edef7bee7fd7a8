"""Where evaluation runs: on this machine, or on many."""
