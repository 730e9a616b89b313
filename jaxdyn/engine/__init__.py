"""The engine of many lanes: a function of one lane, run for all of them at the speed of a hand-written kernel.

`jax.vmap` gives every array of a function one more axis. For the small systems of dynamics that is the wrong way
round: the state of three numbers becomes an array (lanes, 3), each step shuffles threes of numbers, and every
`stack` and slice of the field is a pass through memory. Here each component is an array of its own::

    jax.vmap: one array (lanes, 3)                 lanes: three arrays (lanes,)

        x0 y0 z0 | x1 y1 z1 | x2 y2 z2 ...             x0 x1 x2 x3 x4 ...      one vector register
                                                       y0 y1 y2 y3 y4 ...      holds 4 to 16 lanes
        stack, slice: copies                           z0 z1 z2 z3 z4 ...      stack, slice: nothing to do

The function is traced once (`transform.py`, `call.py`, `programs.py`); its equations are walked (`interpreter.py`),
and each is done in one of three ways:

* in components, where no array has more than 64 numbers, or 128 in C (`components.py`): arithmetic is one equation a
  component; reshape, slice, stack, transpose are list work while tracing and cost nothing when run. Loops carry
  components.
* on whole arrays with the lanes last (`dense.py`): larger arrays; a matrix shared by all lanes times their vectors
  is one matrix product.
* through JAX's batching rules, where neither has a rule: always right, never an error.

Loops, branches and calls are interpreted (`control.py`); much that all lanes share in a loop, such as the noise of one
seed, is computed before it (`hoisting.py`). What a function holds is counted before it is run
(`census.py`); from that `engines.py` chooses how to run it, and `explain.py` tells. The lanes go through loops in
blocks, each of which takes all iterations before the next begins::

    lanes   0 ......... 63 | 64 ........ 127 | 128 ....... 191 | ...
            whole loop       whole loop        whole loop

* `Native`, on CPUs: each outermost loop (`kernels.py`) becomes a C program (`native*.py`), compiled while tracing. A
  block's numbers stay in vector registers; threads share the blocks.
* `Mosaic`, on NVIDIA GPUs: each becomes a kernel of Pallas (`mosaic*.py`), a block's numbers in registers too.
* `Xla`, everywhere: XLA compiles each block's loop as one function, on a CPU with its numbers in the cache. Such a
  function runs on one core; a call outside `jit` gives each core its lanes (`cores.py`).

To teach the engine a primitive, add a line: to `ELEMENTWISE` if it acts on each number by itself (and its text in C to
`EXPRESSIONS`), to `RULES` if it moves or combines components, to `DENSE` for whole arrays.
"""
