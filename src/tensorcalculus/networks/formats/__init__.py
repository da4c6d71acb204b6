"""Formats: small immutable objects that hold a tensor as cores."""
