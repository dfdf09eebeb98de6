"""Second implementations: what clrun computes, written out by hand with nothing around it.

Tests hold clrun to them, and `scripts/bench` measures it beside them. They take the order of rows
and the choice of minibatches from clrun's functions of indices; whatever computes is their own.
"""
