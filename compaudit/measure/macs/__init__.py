"""How many multiply-accumulates does one inference take?

`counting` is the way in: sizes are inferred in a worker, `rules` is the table of what each operator
costs, and `count` adds it up.
"""
