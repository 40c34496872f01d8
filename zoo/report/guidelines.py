"""What guidelines for reports of such models ask for, and where the page has it."""

from __future__ import annotations

# What is asked for, its numbers in TRIPOD+AI and in CLAIM 2024, and the section of the page that has it; or, after
# "missing:", what the authors must add.
ITEMS: tuple[tuple[str, str, str, str], ...] = (
    ("Title, abstract", "1, 2", "1, 2", "missing: of your paper"),
    ("Clinical context, aims, intended use and users", "3a–c, 4", "3, 4, 6", "missing"),
    ("Where and when the data come from; who was eligible", "5a, 5b, 6a–c", "5, 7, 8", "missing: zoo knows files only"),
    ("Preparation of the data", "7", "9, 10", "Settings and versions"),
    ("De-identification", "–", "11", "missing"),
    ("Reference standard: what makes an image positive, and who said so", "8a–c", "14–18", "missing"),
    ("How images were taken", "9a–c", "13", "missing"),
    ("Sample size", "10", "21", "Images and folds (how it was arrived at: missing)"),
    ("Missing data, images left out", "11", "12, 35", "Images and folds"),
    ("Partitions, and at which level they are apart", "12a", "19, 20", "Images and folds"),
    (
        "Model, initial weights, training, choice of the final model",
        "12c, 22",
        "22–27",
        "What was trained on what; Settings and versions",
    ),
    ("Differences between places and sources", "12d, 23b", "30, 33", "Images and folds, where sources are known"),
    ("Measures of performance and their uncertainty", "12e, 23a", "28, 29, 37, 38", "Models; Operating points"),
    ("Class imbalance", "13", "–", "Images and folds; class weights under Settings and versions"),
    ("Fairness: results in subgroups of people", "3c, 14", "36", "missing: zoo knows no age, sex or origin"),
    ("Output of the model and thresholds", "15", "–", "Operating points; From which probability on?"),
    ("Calibration", "12e, 23a", "–", "Are the probabilities right?"),
    ("Differences between training and evaluation", "16", "32", "Images and folds"),
    ("Test on data of another place", "16", "33", "missing: all images are of one data set"),
    ("Explainability, failure analysis", "–", "31, 39", "From which probability on?"),
    ("Ethical approval, consent", "17", "–", "missing"),
    ("Funding, conflicts, protocol, registration", "18a–d", "34, 42, 44", "missing"),
    (
        "Data and code: availability, software and versions",
        "18e–f",
        "23, 43",
        "Settings and versions (availability: missing)",
    ),
    ("Patient and public involvement", "19", "–", "missing"),
    ("Flow and characteristics of participants", "20a–c, 21", "35, 36", "Images and folds (characteristics: missing)"),
    ("Updating of the model", "12f, 24", "–", "missing, if it was updated"),
    ("Interpretation, limitations, use in practice", "25–27", "40, 41", "missing: of your paper"),
)
