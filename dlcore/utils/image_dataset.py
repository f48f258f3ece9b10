"""Images from a folder, read batch by batch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dlcore import _random
from dlcore._arguments import checked
from dlcore.ops.resize import INTERPOLATIONS
from dlcore.utils.images import center_box, color_mode_of, read_image, size_of

FORMATS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
ME = "image_dataset_from_directory"


class ImageDataset:
    """Batches of images that are read when asked for: `len(dataset)` of them, `dataset[i]` gives (images, labels), or
    images alone where there are no labels. Another order each epoch, if it shuffles; the first is that of `file_paths`.

    Attributes:
        file_paths: of the images.
        labels: class number of each, int32, or None.
        class_names: by class number, or None.
    """

    def __init__(
        self,
        file_paths: list[str],
        labels: np.ndarray | None,
        class_names: list[str] | None,
        label_mode: str | None,
        mode: str,
        batch_size: int,
        image_size: tuple[int, int],
        interpolation: str,
        aspect: str | None,
        dtype: Any,
        seed: int | None,
    ):
        self.file_paths, self.labels, self.class_names, self.label_mode = file_paths, labels, class_names, label_mode
        self.mode, self.batch_size, self.image_size, self.aspect = mode, batch_size, image_size, aspect
        self.interpolation, self.dtype, self.seed, self.epoch = interpolation, np.dtype(dtype), seed, 0
        self._order = np.arange(len(file_paths))

    @property
    def num_batches(self) -> int:
        """Same as the length."""
        return len(self)

    def __len__(self) -> int:
        return (len(self.file_paths) + self.batch_size - 1) // self.batch_size

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        first = index % len(self) * self.batch_size
        chosen = self._order[first : first + self.batch_size]
        images = np.stack([self._read(self.file_paths[i]) for i in chosen])
        if self.labels is None:
            return images
        labels = self.labels[chosen]
        if self.label_mode == "binary":
            return images, labels.astype(np.float32)[:, None]
        if self.label_mode == "categorical":
            return images, np.eye(len(self.class_names or ()), dtype=np.float32)[labels]
        return images, labels

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def on_epoch_end(self) -> None:
        """Shuffle again: a function of the seed and the number of epochs alone."""
        self.epoch += 1
        if self.seed is not None:
            self._order = _random.permutation(self.seed, len(self.file_paths), self.epoch)

    def _read(self, path: str) -> np.ndarray:
        image = read_image(path)
        pixels = np.asarray(image if image.mode == self.mode else image.convert(self.mode))
        pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
        if self.aspect == "crop":
            top, left, height, width = center_box(pixels.shape[:2], self.image_size)
            pixels = pixels[top : top + height, left : left + width]
        elif self.aspect == "pad":
            (ih, iw), (height, width) = pixels.shape[:2], self.image_size
            inner = (min(height, max(ih * width // iw, 1)), min(width, max(iw * height // ih, 1)))
            top, left = max(height * iw - ih * width, 0) // (2 * iw), max(width * ih - iw * height, 0) // (2 * ih)
            padded = np.zeros((height, width, pixels.shape[2]), self.dtype)
            padded[top : top + inner[0], left : left + inner[1]] = self._resized(pixels, inner)
            return padded
        return self._resized(pixels, self.image_size)

    def _resized(self, pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """As the layer Resizing does it."""
        if pixels.shape[:2] == size:
            return pixels.astype(self.dtype)
        y: Any = pixels
        for axis in (0, 1):
            index, weight = INTERPOLATIONS[self.interpolation](pixels.shape[axis], size[axis])
            shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
            weight = weight.astype(np.float32)
            y = sum(y.take(index[:, t], axis) * weight[:, t].reshape(shape) for t in range(index.shape[1]))
        return np.rint(y).clip(0, 255).astype(np.uint8) if self.dtype == np.uint8 else np.asarray(y, np.float32)


def _files(folder: str, follow_links: bool) -> list[str]:
    """All pictures in a folder and the folders in it, in order."""
    walk = sorted(os.walk(folder, followlinks=follow_links), key=lambda entry: entry[0])
    return [os.path.join(root, name) for root, _, names in walk for name in sorted(names)
            if name.lower().endswith(FORMATS)]  # fmt: skip


def _index(directory: str, labels: Any, class_names: Any, follow_links: bool) -> tuple[list[str], Any, Any]:
    """(paths, class numbers or None, class names or None)."""
    if isinstance(labels, str):
        folders = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir() and entry.name[0] != ".")
        if class_names is not None and not set(class_names) <= set(folders):
            raise ValueError(
                f"{ME}: class_names must be folders in {directory}, which has {folders}. "
                f"Received: class_names={class_names}"
            )
        names = folders if class_names is None else list(class_names)
        found = [_files(os.path.join(directory, name), follow_links) for name in names]
        numbers = np.repeat(np.arange(len(names), dtype=np.int32), [len(paths) for paths in found])
        return [path for paths in found for path in paths], numbers, names
    if class_names is not None:
        raise ValueError(
            f"{ME}: class_names must be None unless labels='inferred'. Received: class_names={class_names}"
        )
    paths = _files(directory, follow_links)
    if labels is None:
        return paths, None, None
    if len(labels) != len(paths):
        raise ValueError(f"{ME}: labels must have one entry for each of {len(paths)} files. Received: {len(labels)}")
    numbers = np.asarray(labels)
    labels = numbers.tolist()
    if numbers.ndim != 1 or (numbers.size and (numbers.dtype.kind not in "iu" or numbers.min() < 0)):
        raise ValueError(f"{ME}: labels must hold class numbers, whole and from 0 on. Received: labels={labels}")
    return paths, numbers.astype(np.int32), [str(label) for label in sorted(set(labels))]


def _check_split(validation_split: Any, subset: Any, shuffle: bool, seed: int | None) -> None:
    if validation_split and not 0 < validation_split < 1:
        raise ValueError(
            f"{ME}: validation_split must lie between 0 and 1. Received: validation_split={validation_split}"
        )
    if subset not in ("training", "validation", "both", None):
        raise ValueError(f"{ME}: subset must be 'training', 'validation', 'both' or None. Received: subset={subset!r}")
    if bool(validation_split) != bool(subset):
        raise ValueError(
            f"{ME}: validation_split and subset must be given together. "
            f"Received: validation_split={validation_split}, subset={subset!r}"
        )
    if validation_split and shuffle and seed is None:
        raise ValueError(
            f"{ME}: validation_split with shuffle needs a seed, so that training and validation share no image. "
            "Received: seed=None"
        )


@checked
def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int = 32,
    image_size: Any = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
    *,
    dtype: Any = "float32",
) -> Any:
    """The pictures (BMP, GIF, JPEG, PNG) of a folder with a folder for each class, read batch by batch.

    https://keras.io/api/data_loading/image/

    Args:
        directory: the folder.
        labels: "inferred" from the folders, a class number for each file in the order of their paths, or None.
        label_mode: "int", "categorical", "binary" or None, for int32 (n,), one-hot float32 (n, classes), float32 (n, 1)
            of two classes, or no labels.
        class_names: folders to use, in this order; default all, sorted.
        color_mode: "rgb", "rgba" or "grayscale".
        batch_size: images a batch, default 32; the last batch may be smaller.
        image_size: (height, width) or one number for both, default (256, 256).
        shuffle: whether files come in random order, another one each epoch, default True; else by path.
        seed: of the order; the same seed splits as Keras does.
        validation_split: share of the files, at the end of the order, that are for validation.
        subset: "training", "validation", or "both" for a list of two datasets.
        interpolation: "bilinear", "nearest" or "bicubic", as the layer Resizing does it.
        follow_links: whether to enter folders that are links.
        crop_to_aspect_ratio, pad_to_aspect_ratio: cut off what would be distorted, or add a border of zeros around the
            resized image.
        data_format: None or "channels_last".
        format: "tf" or "grain", without effect: there is one kind of dataset.
        verbose: whether to print how many files and classes were found.
        dtype: of the images, "float32" as in Keras, or "uint8", which takes a quarter of the memory. Both are 0 to 255.

    Raises:
        ImportError: Pillow is missing (when a batch is read).
        FileNotFoundError: no such folder.
        ValueError: an argument does not fit, or no images; a file that cannot be read, by its name, with its batch.
    """
    directory = os.fspath(directory)
    if labels not in ("inferred", None) and not isinstance(labels, (list, tuple, np.ndarray)):
        raise ValueError(
            f"{ME}: labels must be 'inferred', None or a list of class numbers. Received: labels={labels!r}"
        )
    for argument, value, allowed in (
        ("label_mode", label_mode, ("int", "categorical", "binary", None)),
        ("interpolation", interpolation, tuple(INTERPOLATIONS)),
        ("data_format", data_format, (None, "channels_last")),
        ("format", format, ("tf", "grain")),
        ("dtype", dtype, ("float32", "uint8", np.float32, np.uint8)),
    ):
        if value not in allowed:
            raise ValueError(f"{ME}: {argument} must be one of {allowed}. Received: {argument}={value!r}")
    mode, size = color_mode_of(color_mode, ME), size_of(image_size, ME, "image_size")
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise ValueError(f"{ME}: batch_size must be a positive whole number. Received: batch_size={batch_size!r}")
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(
            f"{ME}: crop_to_aspect_ratio and pad_to_aspect_ratio must not both be set. Received: True, True"
        )
    _check_split(validation_split, subset, shuffle, seed)
    if not os.path.isdir(directory):
        raise FileNotFoundError(f"{ME}: directory must be a folder. Received: directory={directory!r}")
    labels = None if label_mode is None else labels
    paths, numbers, names = _index(directory, labels, class_names if labels is not None else None, follow_links)
    if label_mode == "binary" and names is not None and len(names) != 2:
        raise ValueError(f"{ME}: label_mode='binary' needs two classes. Received: {names}")
    if label_mode == "categorical" and numbers is not None and numbers.size and numbers.max() >= len(names):
        raise ValueError(f"{ME}: labels must be 0 to {len(names) - 1}, as there are {len(names)}. Received: {names}")
    if verbose:
        print(f"Found {len(paths)} files" + (f" belonging to {len(names)} classes." if names is not None else "."))
    if shuffle:
        seed = _random.seeds.next() if seed is None else int(seed)
        order = np.arange(len(paths))
        np.random.RandomState(seed % 2**32).shuffle(order)
        paths = [paths[i] for i in order]
        numbers = None if numbers is None else numbers[order]
    aspect = "crop" if crop_to_aspect_ratio else "pad" if pad_to_aspect_ratio else None
    held = int(validation_split * len(paths)) if validation_split else 0
    parts = {"training": slice(0, len(paths) - held), "validation": slice(len(paths) - held, None), None: slice(None)}

    def dataset(part: str | None, again: bool) -> ImageDataset:
        chosen = paths[parts[part]]
        if not chosen:
            raise ValueError(f"{ME}: no {part or ''}{' ' if part else ''}images of {FORMATS} in {directory}")
        return ImageDataset(
            chosen, None if numbers is None else numbers[parts[part]], names, label_mode, mode, int(batch_size), size,
            interpolation, aspect, dtype, seed if again else None,
        )  # fmt: skip

    if subset == "both":
        return [dataset("training", shuffle), dataset("validation", False)]
    return dataset(subset, shuffle)
