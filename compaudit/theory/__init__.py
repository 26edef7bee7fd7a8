"""Pure formulas on numbers and arrays: no input, no output, nothing but NumPy and SciPy."""
