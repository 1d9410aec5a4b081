"""The judge, against histories that are known to be good or bad."""
