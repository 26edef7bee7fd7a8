"""Evaluation on a Ray cluster: one that runs already, or one on this machine for one audit.

`engine` is what an audit sees; it imports no Ray. Ray's driver lives in a worker process of ours
(`driver`), as a model does: what Ray prints, the signals it takes and the way it may die are that
process's own, and killing it ends a cluster that was started for the audit. There, `muster`
finds the nodes that can run the models, `fleet` hands shards to Ray workers and merges what they
count, and `parcels` sends files to nodes that lack them. A Ray worker (`evaluator`) holds no model
itself: it has two worker processes as on any machine, so limits, timeouts and what a crash is
called are the same.
"""
