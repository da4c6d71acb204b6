"""Compiled passes over the points of sparse tensors."""
