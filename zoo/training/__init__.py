"""From a recipe and two roles to the weights of the best epoch. All but backend load keras."""
