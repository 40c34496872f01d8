"""report.html of a run: the page to share. It holds pictures of test images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from zoo import __version__
from zoo.data import splits
from zoo.evaluation import comparison, metrics
from zoo.evaluation.operating_point import ALL_FOLDS
from zoo.files import read_csv, read_json, write_text
from zoo.report import comparison_plots, guidelines, page, pairs, plots, run_pictures, tables, words
from zoo.run.results import Comparison


def write(done: Comparison, file: Path, with_images: bool = True) -> None:
    """Write the page, charts included. Without images it holds no photographs.

    Raises OSError if the file cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, html(done, with_images))


def html(done: Comparison, with_images: bool = True) -> str:
    """The page as text. Whatever stands in names of files, classes and models is escaped."""
    record, two, models = done.run.read(), len(done.classes) == 2, _models(done)
    charts = _charts(done, models)
    explorer = _explorer_of(done, models, with_images) if models else None
    return page.render(
        title=_headline(done, models),
        about=_about(record, explorer),
        verdict=words.verdict(done),
        notes=done.notes,
        missing=done.missing,
        models=_model_table(done),
        pairs=pairs.said(done.marked()) if len(models) > 1 else [],
        charts=charts["models"],
        explorer=explorer,
        classes=done.classes,
        aim=str(done.aim.operating_point),
        intervals_by=", by patient" if (done.predictions["group"] != "").any() else "",
        points=_points(done) if two and len(done.thresholds) else None,
        calibration=_calibration(done) | {"charts": charts["calibration"]} if two else None,
        data=_data(done, record),
        sources=_sources(done),
        training=_training(done, record, models) | {"charts": charts["training"]},
        settings=_settings(done, record, models),
        guidelines=guidelines.ITEMS,
        cite=_cite(record),
    )


def _models(done: Comparison) -> list[str]:
    """The models, the best by validation first."""
    names = [name for name in done.titles if name != comparison.CHOSEN]
    return sorted(names, key=lambda name: name != words.best(done))


def _headline(done: Comparison, models: Sequence[str]) -> str:
    counts = {"model": len(models), "fold": done.results["fold"].nunique()}
    counted = ", ".join(f"{count} {what}{'s' * (count != 1)}" for what, count in counts.items())
    return f"{' or '.join(done.classes)}? {counted}"


def _about(record: Mapping[str, Any], explorer: Mapping[str, Any] | None) -> str:
    begun = datetime.fromisoformat(record["started"]).strftime("%d %B %Y")
    said = f"Run of {begun} by zoo {record['versions'].get('zoo', '')}, page by zoo {__version__}."
    pictures = len(explorer["thumbnails"]) if explorer else 0
    if pictures:
        said += f" This page holds {pictures:,} small pictures of test images and names of files: share it accordingly."
    return said


def _charts(done: Comparison, models: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """The charts of each section, as what an <img> takes."""
    shown, histories = done.marked(), run_pictures.histories_of(done)
    first = comparison.first_repeats(shown.predictions)
    metric = metrics.NAMES.get(done.metric, done.metric)
    charts: dict[str, list[dict[str, str]]] = {"models": [], "calibration": [], "training": []}
    with plots.svg_only(), TemporaryDirectory() as folder:

        def add(section: str, caption: str, draw: Callable[..., list[Path]], *arguments: Any) -> None:
            files = draw(*arguments, Path(folder) / str(sum(map(len, charts.values()))))
            charts[section] += [page.chart(caption, file) for file in files]

        if done.results["fold"].nunique() > 1:
            by_model = (shown.results, shown.summary, done.metric, "test")
            add("models", f"{metric} on test, fold by fold", comparison_plots.metric_by_model, *by_model)
        curves = "ROC and precision-recall curves of all test images"
        add("models", curves, comparison_plots.roc_of_models, first, "test")
        add("models", "Which model is better, and how surely", comparison_plots.verdicts, shown.comparison)
        for model in models:
            title = done.titles[model]
            if len(done.classes) == 2:
                caption = f"{title}: reliability and net benefit"
                add("calibration", caption, run_pictures.draw_calibration, done, model)
            caption = f"{title}: learning curves of each fold"
            add("training", caption, comparison_plots.learning_curves, histories[model], title)
    return charts


def _model_table(done: Comparison) -> dict[str, Any]:
    """A row a model, the best first: AUC, and what it misses and alarms for at the point that the run aims at."""
    test = done.summary[done.summary["role"] == "test"]
    cells = {(row["model"], row["metric"]): row for row in test.to_dict("records")}
    main = test[test["metric"] == done.metric].sort_values("mean", ascending=done.metric == "loss")
    aimed = done.thresholds[
        (done.thresholds["fold"] == ALL_FOLDS) & (done.thresholds["point"] == str(done.aim.operating_point))
    ].set_index("model")
    shown = list(dict.fromkeys([done.metric, "auc", "recall", "specificity", "f1", "accuracy"]))
    names = {**metrics.NAMES, "recall": "sensitivity"}
    columns = ["model", *(names.get(name, name) for name in shown)]
    if len(aimed):
        columns += [f"missed at {done.aim.operating_point}", "false alarms there"]
    rows = []
    for model in main["model"]:
        row = [_title(done, model), *(_cell(cells[model, name]) for name in shown)]
        if len(aimed):
            known = aimed.loc[model] if model in aimed.index else None
            row += ["", ""] if known is None else [
                f"{known['missed']:,} of {known['positives']:,}", f"{known['alarms']:,} of {known['negatives']:,}",
            ]  # fmt: skip
        rows.append(row)
    folds = int(main["folds"].max()) if len(main) else 0
    caption = f"Test, mean over {folds} fold{'s' * (folds != 1)} with 95 % interval, decided at {done.point}"
    return {"heading": "Models", "columns": columns, "rows": rows, "caption": caption}


def _title(done: Comparison, model: str) -> str:
    weights = done.results.loc[done.results["model"] == model, "weights"].unique()
    title = "best of each fold, chosen by validation" if model == comparison.CHOSEN else done.titles[model]
    return "\n".join([title, *(f"from {each}" for each in weights)])


def _cell(cell: Mapping[Any, Any]) -> str:
    return page.value(cell["mean"], cell["low"], cell["high"])


def _points(done: Comparison) -> dict[str, Any]:
    """threshold.csv: rows over folds, and `folds` of each fold."""
    headings, cells = page.points(done.thresholds, done.classes[1])
    rows: dict[bool, list[list[str]]] = {True: [], False: []}
    for row, numbers in zip(done.thresholds.to_dict("records"), cells, strict=True):
        point = row["point"] + ("" if row["supported"] else "\nnot sure: too few validation images")
        fold = f"{row['fold']}" + (f", repeat {row['repeat']}" if row["repeat"] else "")
        rows[row["fold"] == ALL_FOLDS].append([done.titles[row["model"]], point, fold, *numbers])
    chosen = (
        "Thresholds are chosen on the validation images of all folds but those that a fold tests, and then met by its "
        "test images."
    )
    columns = ["model", "point", "fold", *headings]
    return {"columns": columns, "rows": rows[True], "folds": rows[False], "chosen": chosen}


def _calibration(done: Comparison) -> dict[str, Any]:
    table = done.calibration[done.calibration["fold"] == ALL_FOLDS]
    rows = [
        {"model": done.titles[row["model"]], **tables.calibration(row)}
        for row in table.sort_values(["model", "scaled"]).to_dict("records")
    ]
    return {
        "columns": [*dict.fromkeys(name for row in rows for name in row)],
        "rows": [[*row.values()] for row in rows],
    }


def _explorer_of(done: Comparison, models: Sequence[str], with_images: bool) -> dict[str, Any]:
    aimed = done.aimed if len(done.classes) == 2 else done.predictions
    tested = {done.titles[model]: comparison.tested_images(aimed[aimed["model"] == model]) for model in models}
    maps = {done.titles[model]: run_pictures.heat_maps(done, model) for model in models if with_images}
    return page.explorer(
        tested, done.classes, done.aim.operating_point, done.aim.prevalence, done.root, maps, with_images
    )


def _data(done: Comparison, record: Mapping[str, Any]) -> dict[str, Any]:
    table = done.run.read_splits(record)
    counts, groups = splits.class_counts(table, done.classes), splits.group_counts(table)
    known = bool(groups.any())
    rows = [
        [fold, role, *(f"{count:,}" for count in counts.loc[(fold, role)]), f"{int(counts.loc[(fold, role)].sum()):,}"]
        + ([f"{groups.loc[(fold, role)]:,}"] if known else [])
        for fold, role in counts.index
    ]
    images = table.drop_duplicates("image")
    of_classes = images["label"].value_counts()
    said = [
        f"{len(images):,} different images of {images['path'].nunique():,} files: "
        + ", ".join(f"{of_classes.get(number, 0):,} {name}" for number, name in enumerate(done.classes))
        + (f"; {table.loc[table['group'] != '', 'group'].nunique():,} patients or other groups" if known else "")
        + f". At {record['data'].get('image_size', '')} px. Fingerprint {record['data']['fingerprint'][:16]}."
    ]
    tested = table[table["role"] == "test"].groupby("image")["fold"].nunique()
    folds = table["fold"].nunique()
    said.append(
        f"{folds} fold{'s' * (folds != 1)}; {len(tested):,} images are tested"
        + (", each in one fold." if (tested == 1).all() else f", {(tested > 1).sum():,} of them in several folds.")
        + f" Validation chooses epochs, thresholds and scalings; test is read once. {_divided(record)}"
    )
    said += record["data"].get("notes", [])
    if not known:
        said.append("Patients are not known: two images of one patient may stand in training and in test.")
    near = len(done.run.known_duplicates())
    leaks = [note for note in done.notes if note.startswith(("LEAKED", "ORIGIN"))] or [
        "No weights have seen an image that they are tested on, nor a known copy of one: each weights file carries "
        "what it was trained on, and no image is in two roles of a fold."
    ]
    leaks.append(
        f"{near:,} pairs of near-duplicates are known from audits (duplicates.csv)."
        if near
        else "No near-duplicates are known; zoo data audit looks for changed copies of images across folds."
    )
    columns = ["fold", "role", *done.classes, "images", *(["groups"] if known else [])]
    return {"heading": "Images and folds", "said": said, "columns": columns, "rows": rows, "leaks": leaks}


def _sources(done: Comparison) -> dict[str, Any] | None:
    """How each model does on the images of each source, at the point that the run aims at; None for no sources."""
    table = done.by_source
    if table.empty:
        return None
    return page.of_sources(table.replace({"model": done.titles}), done.classes, done.aim.operating_point)


def _divided(record: Mapping[str, Any]) -> str:
    if record["data"].get("split_file"):
        return f"Folds of {record['data']['split_file']}."
    return ""


def _training(done: Comparison, record: Mapping[str, Any], models: Sequence[str]) -> dict[str, Any]:
    """A row a model: weights, what of the images they have seen, epochs and minutes."""
    rows = []
    for model in models:
        jobs = done.predictions.loc[done.predictions["model"] == model, comparison.JOB].drop_duplicates()
        folders = [done.run.job(*job) for job in jobs.itertuples(index=False, name=None)]
        seen = [len(read_json(folder.provenance).get("images", ())) for folder in folders]
        histories = [read_csv(folder.history) for folder in folders]
        minutes = sum(history["seconds"].sum() for history in histories) / 60
        epochs = sorted({len(history) for history in histories})
        starts = done.results.loc[done.results["model"] == model, "weights"].unique()
        rows.append(
            [
                done.titles[model],
                "\n".join(starts),
                _from_to(seen),
                _from_to(epochs),
                f"{minutes:.1f}",
                ", ".join(dict.fromkeys(record.get("origins", {}).get(model, {}).values())),
            ]
        )
    columns = ["model", "starts from", "images seen by a fold's weights", "epochs", "minutes in all", "parts come from"]
    return {"columns": columns, "rows": rows}


def _from_to(values: Iterable[int]) -> str:
    ends = sorted({*values}) or [0]
    return f"{ends[0]:,}" if ends[0] == ends[-1] else f"{ends[0]:,} to {ends[-1]:,}"


def _settings(
    done: Comparison, record: Mapping[str, Any], models: Sequence[str]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """All of run.json that a reader may ask for, flat."""
    recipes = [(f"Model {name}", page.flat(record["recipes"][name])) for name in models]
    evaluation = {**record.get("evaluation", {}), "metric": done.metric, "rope": done.rope}
    names = ("max_epochs", "min_learning_rate", "repeats", "start_from", "allow_leak", "precision")
    training = {name: record.get(name) for name in names}
    machine = {**record.get("machine", {}), **record["versions"]}
    data = {name: value for name, value in record["data"].items() if name not in ("fingerprint", "notes")}
    data |= {name: Path(data.get(name) or "").name for name in ("root", "test_root")}  # where is nobody's business
    rest = {"Evaluation": evaluation, "Training": training, "Data": data, "Machine and versions": machine}
    return [*recipes, *((name, page.flat(table)) for name, table in rest.items())]


def _cite(record: Mapping[str, Any]) -> list[str]:
    year = datetime.fromisoformat(record["started"]).year
    versions = record["versions"]
    return [
        f"zoo {versions.get('zoo', '')}, a model zoo for image classification, {year}; keras "
        f"{versions.get('keras', '')} on {record.get('machine', {}).get('backend', 'an unknown backend')}. Data "
        f"fingerprint {record['data']['fingerprint']}.",
        "Pairs of models over folds: corrected t-test, Nadeau and Bengio, Machine Learning 52 (2003); Bayesian test, "
        "Benavoli et al., JMLR 18 (2017). AUCs of all images: DeLong et al., Biometrics 44 (1988); McNemar, "
        "Psychometrika 12 (1947). Thresholds: the quantile of split conformal prediction, Vovk et al. (2005). "
        "Scaling: Platt (1999).",
    ]
