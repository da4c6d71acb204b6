"""Minimising a scalar expression over some of its variables; derivatives come as formulas."""
