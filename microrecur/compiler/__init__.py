"""From a recorded graph to flat NumPy that is as quick as written by hand, and readable."""
