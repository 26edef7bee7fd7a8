"""How long does one inference take, and how much faster is the compressed model?

`blocks` runs in the worker and reads the clock; `arms` puts a model in a fresh process;
`experiment` decides what runs when, within the budget of `plan`; `estimate` turns blocks into δ.
"""
