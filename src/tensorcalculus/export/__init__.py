"""Compiled expressions as modules of their own, which need this package no more."""
