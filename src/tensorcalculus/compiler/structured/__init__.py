"""Derivatives that keep their structure: Kronecker products, blocks, diagonals, low rank."""
