"""Weights in and out: torch, Keras, safetensors, npz."""
