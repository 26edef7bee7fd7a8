"""Where evaluation runs: on this machine, or on many.

`base` says what an engine is. `sources` gives one model's outputs, `walk` goes through the samples,
`shard` shows what both gave to a tally; `local` does that for all shards of a pass.
"""
