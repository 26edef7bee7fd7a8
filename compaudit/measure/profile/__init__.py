"""Where does the time of an inference go, and what did the compression change about it?

`in_worker` profiles one model in a run of its own, `rows` lines both models up by operator and by
layer, `causes` says what costs the compressed model time, and `kinds` what an operator does.
"""
