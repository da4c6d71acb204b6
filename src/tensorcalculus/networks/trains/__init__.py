"""Trains as lists of cores: algebra, decomposition, rounding, and their adjoints."""
