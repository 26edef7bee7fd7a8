"""Where inside the network do two models part? Intermediate outputs on the same inputs.

`graph` and `modules` say what values a model has, `matching` which of them are the same thing in
both, `plan` in which runs they are looked at, `in_worker` what a worker does for it, `comparison`
puts the figures together, and `first_break` names the place where the outputs break.
"""
