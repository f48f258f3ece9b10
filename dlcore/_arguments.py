"""Arguments that nobody knows: refused with the nearest name that is known."""

from __future__ import annotations

import difflib
import functools
import inspect
import numbers
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound="Checked")


def nearest(name: Any, known: Iterable[str]) -> str:
    """ " Did you mean 'x'?" for the nearest of the names, "" where none is near: the end of a message."""
    if not isinstance(name, str):
        return ""
    names, words = list(known), set(name.lower().split("_"))
    longer = [other for other in names if words <= set(other.lower().split("_"))]  # mean_squared, for ..._error
    near = (
        difflib.get_close_matches(name, names, 1, 0.85)
        or sorted(longer, key=len)[:1]
        or difflib.get_close_matches(name, names, 1, 0.6)
    )
    return f". Did you mean {near[0]!r}?" if near else ""


def is_number(value: Any) -> bool:
    """Whether it is a real number of Python's or NumPy's; True and False are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def outside() -> int:
    """The `stacklevel` of a warning that points at the user's line, wherever in dlcore the caller is."""
    level, frame = 1, sys._getframe(1)
    while frame.f_globals.get("__name__", "").partition(".")[0] == "dlcore" and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    return level


def unknown(what: str, name: str, known: Iterable[str]) -> TypeError:
    """The error for an argument `name` that `what` does not have."""
    names = sorted(set(known) - {"self", "args", "kwargs"})
    return TypeError(f"{what} has no argument {name!r}{nearest(name, names) or f'. It has {names}.'}")


@functools.cache
def _parameters(cls: type) -> tuple[frozenset[str], bool]:
    """Names that the constructor takes, and whether it takes any other."""
    found: set[str] = set()
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        found.update(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return frozenset(found), False
        if base.__module__.partition(".")[0] != "dlcore":  # a user's constructor may keep some for itself
            break
    return frozenset(found), True


def takes(cls: type, name: str) -> bool:
    """Whether the constructor of `cls` takes an argument of this name."""
    known, any_other = _parameters(cls)
    return name in known or any_other


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(part) for part in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(part) for key, part in value.items())
    return value is None or isinstance(value, (bool, int, float, str))


class Checked:
    """Base of classes whose constructor names the argument that was meant."""

    def __new__(cls: type[C], *args: Any, **kwargs: Any) -> C:
        if kwargs:
            key: Any = cls
            known, any_other = _parameters(key)
            for name in kwargs:
                if name not in known and not any_other:
                    raise unknown(cls.__name__, name, known)
        return super().__new__(cls)


class Described(Checked):
    """Base of classes that are made again from a configuration. One of the user's that does not define `get_config` has
    the arguments of its constructor for it."""

    _arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__new__(cls, *args, **kwargs)
        get_config: Any = getattr(cls, "get_config", None)
        if not _is_ours(cls) and get_config.__qualname__ == "Layer.get_config":
            made._arguments = args, kwargs
        return made

    def _plain_arguments(self, who: str) -> dict[str, Any]:
        """What the constructor was called with, by name; nothing where `get_config` is defined.

        Raises:
            ValueError: something that has no form in JSON.
        """
        cls = type(self)
        if self._arguments is None:
            return {}
        signature = inspect.signature(cls)
        found = dict(signature.bind(*self._arguments[0], **self._arguments[1]).arguments)
        for name in list(found):
            kind = signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_KEYWORD:
                found.update(found.pop(name))
            elif kind is inspect.Parameter.VAR_POSITIONAL:
                raise ValueError(f"{who}: {cls.__name__} must define get_config: it takes *{name}")
        for name, value in found.items():
            if not _is_plain(value):
                raise ValueError(
                    f"{who}: {cls.__name__} must define get_config: the argument {name} is no number, no text, and no "
                    f"list or dict of them. Received: {name}={value!r:.100}"
                )
        return found

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A new one from what `get_config` gave."""
        if _is_ours(cls):
            return cls(**config)
        rest = {name: config[name] for name in ("name", "trainable") if name in config and not takes(cls, name)}
        made: Any = cls(**{name: value for name, value in config.items() if name not in rest})
        if "name" in rest:
            made.name = rest["name"]
        if "trainable" in rest:
            made._trainable = rest["trainable"]
        return made


def _is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == "dlcore"


def checked(function: F) -> F:
    """The same for a function or method."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            known = inspect.signature(function).parameters
            wrong = [name for name in kwargs if name not in known]
            if wrong and error.__traceback__ is not None and error.__traceback__.tb_next is None:
                raise unknown(function.__name__, wrong[0], known) from None
            raise

    return call  # type: ignore[return-value]
