"""Where in the network is everything, and what became of each layer?

`names` finds what a layer is called, `grouping` gathers one model's tensors to layers, `matching`
lines two models up, `weights` says how far their weights are apart.
"""
