"""zoo serve: a page and an endpoint on this machine, where trained networks answer for pictures."""
