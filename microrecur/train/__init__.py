"""Training, and what one looks at before it."""
