"""From probabilities to numbers."""
