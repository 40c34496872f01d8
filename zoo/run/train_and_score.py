"""One job: train one recipe on one fold, score it, and write its folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import ConfigError, LeakError, WeightsError, one_line, shorten
from zoo.files import read_json, write_csv, write_json
from zoo.interfaces import title
from zoo.run import heatmaps, provenance
from zoo.run.folder import JobFolder, RunFolder
from zoo.run.job import Job
from zoo.run.provenance import Provenance
from zoo.training import model_file

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pandas as pd

    from zoo.data.images import ImageStore
    from zoo.data.splits import Subset
    from zoo.interfaces import Recipe
    from zoo.training.callbacks import Notify
    from zoo.training.checkpoint import Checkpoint
    from zoo.training.model import Network


def run(job: Job, notify: Notify) -> None:
    """Train, score and write one job. Its last act is to set its status to done.

    Raises ZooError for what zoo foresees; whatever else is raised comes from a part or a library.
    """
    import keras
    import pandas as pd

    from zoo.data import images, splits
    from zoo.files import replacing
    from zoo.plugins import discovery, registry
    from zoo.training import device, part_checks, precision, pretrained, trainer
    from zoo.training import model as networks
    from zoo.training.checkpoint import Checkpoint, values

    folder = job.folder
    found = discovery.discover(discovery.of(job.origins.values()))
    recipe = registry.build_recipe(job.model, job.recipe, found, job.source)
    _refuse_other_code(recipe, job)
    pretrained.supply(recipe.backbone, job.files)
    store = images.open_store(Path(job.images))
    table = splits.read_splits(RunFolder(Path(job.run)).splits, job.classes)
    training, validation = (splits.subset(table, job.fold, role, store) for role in ("train", "validation"))

    seen = inherit(recipe, job).seeing([*training.hashes, *validation.hashes])
    keras.config.set_dtype_policy(job.precision)
    machine = device.describe_machine()
    if job.precision != precision.FULL and machine["device"] == "cpu":
        notify({"event": "warning", "text": f"{job.precision} makes a CPU slower; it is for GPUs"})
    # A state of weights that have seen other images is not this job's, wherever it came from.
    checkpoint = Checkpoint(
        folder.checkpoint,
        origin={**machine, "seen": seen.digest, "parts": recipe.origins, "code": recipe.code, "recipe": job.recipe},
    )
    try:
        network, begun = assemble(recipe, job, folder, checkpoint, notify)
    except WeightsError as error:
        raise WeightsError("; ".join([str(error), *_missing_parts(recipe, job)])) from error
    if (head := networks.head_alone(network)) is not None:
        part_checks.check_probabilities(recipe.head, head)
    if any(isinstance(layer, keras.layers.Lambda) for layer in network.model.layers):
        notify(
            {"event": "warning", "text": "has a Lambda layer: Keras reads its model files with safe_mode=False only"}
        )
    # Arrays that training on this machine has made are known, whoever has loaded them, under whatever name.
    if begun:
        seen, began_with = seen | begun.provenance, {*begun.began_with}
    else:
        arrays = values(network.model.weights)
        known, _ = provenance.recognise(arrays, lambda line: notify({"event": "warning", "text": line}))
        seen, began_with = seen | (known or Provenance()), provenance.hash_arrays(arrays)
    # As at the end, when the test role is opened: a leak is known before the days that training takes.
    tested = table[(table["fold"] == job.fold) & (table["role"] == "test")]
    copies = RunFolder(Path(job.run)).known_duplicates()
    refuse_leak(seen, [*tested["image"]], [*tested["path"]], copies, job.allow_leak)
    weights = f"{network.weights}, origin unknown" if seen.unknown else network.weights
    used = {"weights": weights, "warning": network.warning, "machine": machine}
    notify({"event": "job_started", **used})
    # Before the first best.keras.
    write_json(
        folder.provenance,
        {"weights": network.weights, "warning": network.warning, **seen.table(), "began_with": sorted(began_with)},
    )

    about = model_file.About.of(recipe, job.classes, job.image_size)

    def save_best(model: keras.Model) -> None:
        with replacing(folder.best) as draft:
            precision.in_full(model).save(draft)
            provenance.embed(draft, seen, began_with)
            model_file.write_about(draft, about)

    history = trainer.train(network, recipe, job, training, validation, job.classes, save_best, checkpoint, notify)
    write_csv(folder.history, pd.DataFrame(history, columns=trainer.HISTORY))

    notify({"event": "scoring"})
    test, leaks = open_test_role(job, seen, table, store)
    # Scored as it is saved: what was stored of frozen layers has only half of the bits in mixed precision. And there
    # is none of mirror images.
    reuse = trainer.reuses(recipe, job) and job.precision == precision.FULL and recipe.tta == "none"
    model, inputs = trainer.to_score(network, trainer.stages_of(recipe, job), [validation, test], reuse, notify)
    model = precision.in_full(model)
    scores = score(job, model, dict(zip(("validation", "test"), inputs, strict=True)), folder, leaks)
    try:
        heatmaps.write(job, network, test)
    except Exception as error:  # a network may be such that it cannot be cut; its numbers are there
        notify({"event": "warning", "text": f"no heat maps: {one_line(error)}"})
    folder.set_status("done", **used, **({"leaked": len(leaks)} if leaks else {}))
    checkpoint.remove()
    notify({"event": "job_ended", "metrics": scores})


def _refuse_other_code(recipe: Recipe, job: Job) -> None:
    """Raise ConfigError where a part is not of the code that the run was planned with, on another machine."""
    for kind, code in job.code.items():
        if recipe.code[kind] != code:
            part = title(getattr(recipe, kind))
            raise ConfigError(f"{part} has other code on this machine than where the run was planned: install the same")


def _missing_parts(recipe: Recipe, job: Job) -> list[str]:
    """What the file that training starts from tells of parts that are not here."""
    from zoo.plugins import discovery

    file = _file_to_start_from(recipe, job)
    about = model_file.read_about(file) if file else None
    if not about:
        return []
    return model_file.missing(about.recipe, about.origins, discovery.discover(), model_file.NETWORK)


def assemble(
    recipe: Recipe, job: Job, folder: JobFolder, checkpoint: Checkpoint, notify: Notify
) -> tuple[Network, Begun | None]:
    """The network to train, and what a job that goes on began with.

    Such a one takes all weights from its checkpoint, and needs no others.
    """
    from zoo.training import kept, model

    state, begun = checkpoint.load(), _begun(folder)
    goes_on = begun if state else None
    if not goes_on and (fault := checkpoint.fault or (f"its {folder.provenance.name} is damaged" if state else "")):
        notify({"event": "warning", "text": f"{fault}: starting over"})
        checkpoint.remove()
    backbone = recipe.backbone
    found = job.start if backbone.weights == "auto" else None
    if goes_on or job.start_from:
        weights = "none"
    elif found:
        weights = model.same_start(found["weights"])
    else:
        weights = str(job.place(backbone.weights)) if backbone.from_file else backbone.weights
    network = kept.assemble(
        dataclasses.replace(backbone, weights=weights),
        recipe.head,
        (job.image_size, job.image_size, 3),
        len(job.classes),
        recipe.seed,
    )
    if goes_on:
        return dataclasses.replace(network, weights=goes_on.weights, warning=goes_on.warning), goes_on
    if job.start_from:
        return model.start_from(network, job.place(job.start_from)), None
    return dataclasses.replace(network, warning=found["warning"]) if found else network, None


@dataclass(frozen=True)
class Begun:
    """What a job that goes on has written down of the weights that it started from."""

    weights: str
    warning: str | None
    provenance: Provenance
    began_with: list[str]


def _begun(folder: JobFolder) -> Begun | None:
    """None if that is damaged."""
    try:
        begun = read_json(folder.provenance)
        return Begun(begun["weights"], begun["warning"], Provenance.from_table(begun), [*begun["began_with"]])
    except (OSError, ConfigError, KeyError, TypeError):
        return None


def score(
    job: Job, model: keras.Model, subsets: dict[str, Subset], folder: JobFolder, leaks: Collection[str] = ()
) -> dict[str, Any]:
    """Predict each role once, and write predictions.csv and metrics.json; the content of the latter.

    `leaks` are the hashes of test images that the weights have seen: both files mark them.
    """
    import pandas as pd

    from zoo.evaluation import metrics
    from zoo.training import trainer

    compiled = trainer.scorer(model)  # once for both roles
    scores, tables = {}, []
    for role, subset in subsets.items():
        outputs = trainer.predict(compiled, subset, len(job.classes), job.recipe["tta"])
        scores[role] = metrics.score(subset.labels, metrics.per_class(outputs))
        tables.append(predictions_table(subset, role, outputs, job.classes))
        if leaks:
            tables[-1]["leaked"] = tables[-1]["image"].isin(leaks).astype(int) if role == "test" else 0
    if leaks:
        scores["test"]["leaked"] = len(leaks)
    write_csv(folder.predictions, pd.concat(tables))
    write_json(folder.metrics, scores)
    return scores


def predictions_table(subset: Subset, role: str, outputs: np.ndarray, classes: list[str]) -> pd.DataFrame:
    """Rows of predictions.csv. `probability` is that of the positive (last) class; more than two get one each."""
    import pandas as pd

    table = pd.DataFrame({"role": role, "image": subset.hashes, "path": subset.paths, "label": subset.labels})
    table["probability"] = outputs[:, -1].astype(float)
    if len(classes) > 2:
        for number, name in enumerate(classes):
            table[f"probability_{name}"] = outputs[:, number].astype(float)
    return table


def inherit(recipe: Recipe, job: Job) -> Provenance:
    """What the weights that a job starts from have seen. Raises WeightsError for a file whose provenance is damaged."""
    file = _file_to_start_from(recipe, job)
    return provenance.read_provenance(file) if file else Provenance()


def _file_to_start_from(recipe: Recipe, job: Job) -> Path | None:
    """Where it lies on this machine, if there is one."""
    file = job.start_from or (recipe.backbone.weights if recipe.backbone.from_file else None)
    return job.place(file) if file else None


def open_test_role(job: Job, seen: Provenance, table: pd.DataFrame, store: ImageStore) -> tuple[Subset, list[str]]:
    """The test role, and the hashes of its images that the weights have seen: the one place where it is read.

    Called when every choice is made: epoch, weights, threshold. Raises LeakError, see `refuse_leak`.
    """
    from zoo.data import splits

    test = splits.subset(table, job.fold, "test", store)
    copies = RunFolder(Path(job.run)).known_duplicates()
    return test, refuse_leak(seen, test.hashes, test.paths, copies, job.allow_leak)


def refuse_leak(
    seen: Provenance, test: Sequence[str], paths: Sequence[str], copies: pd.DataFrame, allowed: bool = False
) -> list[str]:
    """The hashes of test images that the weights have been trained or selected on, themselves or as a known copy.

    Raises LeakError if there are any, unless that is `allowed`.
    """
    leaks = provenance.leaked(test, seen.images, copies)
    if leaks and not allowed:
        named = [path for image, path in zip(test, paths, strict=True) if image in set(leaks)]
        raise LeakError(f"the weights have seen {len(leaks)} of the {len(test)} test images:\n{shorten(named)}")
    return leaks
