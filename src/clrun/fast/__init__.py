"""Everything that is only for speed: all of it could be left out, and a run would be slower.

Each module says what it gains, measured, and what it costs to understand. `device.tricks=off`
switches all of them off and changes no number but for rounding: whoever uses one gives it
`tricks=device.tricks`.

| module | what it does |
| --- | --- |
| sgd | descends in two calls an update, without importing PyTorch's compiler |
| one_vector | multiplies the velocities of all parameters in one call |
| folding | evaluates a convolution and the normalisation behind it as one convolution |
| evaluating_form | uses that form of a model where it gives the model's own numbers |
| pointwise | learns large 1x1 convolutions by one matrix product |
| chunks | computes latents a few rows at a time, which stay in the processor's caches |
| heap | keeps freed memory for the next update |
| garbage | searches new objects for garbage only, and none during imports |
| fastest | measures which of several devices is the quicker one |
"""
