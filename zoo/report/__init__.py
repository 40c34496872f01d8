"""Shows what a run does and what came of it: terminal and pictures. Reads the run folder, never trains."""
