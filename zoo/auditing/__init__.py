"""What is wrong with images and folds before anything is trained."""
