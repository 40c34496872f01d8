"""From files to arrays: datasets, splits, decoded images, and the demo."""
