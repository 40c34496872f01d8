"""Plug-ins: found, contained, checked, and made into recipes."""
