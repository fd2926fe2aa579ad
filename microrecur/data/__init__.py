"""Series to learn from: the small real data sets, windows and scaling."""
