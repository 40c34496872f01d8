"""A run: from the request over its jobs to the results."""
