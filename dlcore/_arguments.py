"""Arguments that nobody knows: refused with the nearest name that is known."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def unknown(what: str, name: str, known: Iterable[str]) -> TypeError:
    """The error for an argument `name` that `what` does not have."""
    names = sorted(set(known) - {"self", "args", "kwargs"})
    near = difflib.get_close_matches(name, names, 1, 0.6)
    hint = f" Did you mean {near[0]!r}?" if near else f" It has {names}."
    return TypeError(f"{what} has no argument {name!r}.{hint}")


@functools.cache
def _parameters(cls: type) -> tuple[frozenset[str], bool]:
    """Names that the constructor takes, and whether it takes any other."""
    found: set[str] = set()
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        found.update(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return frozenset(found), False
    return frozenset(found), True


def takes(cls: type, name: str) -> bool:
    """Whether the constructor of `cls` takes an argument of this name."""
    known, any_other = _parameters(cls)
    return name in known or any_other


def plain_arguments(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any], who: str) -> dict[str, Any]:
    """What a constructor was called with, by name.

    Raises:
        ValueError: something that has no form in JSON.
    """
    signature = inspect.signature(cls)
    found = dict(signature.bind(*args, **kwargs).arguments)
    for name in list(found):
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            found.update(found.pop(name))
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            raise ValueError(f"{who}: {cls.__name__} must define get_config: it takes *{name}")
    for name, value in found.items():
        if not _is_plain(value):
            raise ValueError(
                f"{who}: {cls.__name__} must define get_config: the argument {name} is no number, no text, and no list "
                f"or dict of them. Received: {name}={value!r:.100}"
            )
    return found


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(part) for part in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(part) for key, part in value.items())
    return value is None or isinstance(value, (bool, int, float, str))


class Checked:
    """Base of classes whose constructor names the argument that was meant."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            known, any_other = _parameters(cls)
            for name in kwargs:
                if name not in known and not any_other:
                    raise unknown(cls.__name__, name, known)
        return super().__new__(cls)


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
