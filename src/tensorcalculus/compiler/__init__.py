"""Generation of NumPy source from expressions, and the numerical kernels that the source calls."""
