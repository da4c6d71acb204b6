"""Generalised CP: any elementwise loss, on all cells or on samples of them."""
