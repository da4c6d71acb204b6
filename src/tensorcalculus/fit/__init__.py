"""Models fitted to data: CP decompositions of dense arrays, and what may be wrong with them."""
