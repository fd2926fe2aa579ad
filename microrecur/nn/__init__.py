"""Cells and modules."""
