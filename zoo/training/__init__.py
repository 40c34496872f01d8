"""From a recipe and two roles to the weights of the best epoch. Loads keras; nothing outside a job imports it."""
