"""Objects of the user by name: what files and configs may name beside what dlcore has.

A file names classes and functions, it does not hold them. What such a name means is said by the program that reads it:
`register_keras_serializable` where the object is defined, `custom_object_scope`, or `custom_objects=` of `load_model`.
Nothing is imported by name.

https://keras.io/api/models/model_saving_apis/serialization_utils/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import FunctionType, MappingProxyType
from typing import Any, TypeVar

from dlcore._arguments import nearest

T = TypeVar("T")

_registered: dict[str, Any] = {}
_names: dict[Any, str] = {}
_scope: ContextVar[Mapping[str, Any]] = ContextVar("scope", default=MappingProxyType({}))
_kept: ContextVar[dict[str, Any] | None] = ContextVar("kept", default=None)


class CustomObjectScope:
    """`with custom_object_scope({"MyLayer": MyLayer}):` the names mean these objects, in files and configs. A scope
    inside another knows the names of both.

    https://keras.io/api/models/model_saving_apis/serialization_utils/

    Args:
        custom_objects: classes and functions by name; None is none.

    Raises:
        TypeError: not a dict by names.
    """

    def __init__(self, custom_objects: Mapping[str, Any] | None):
        self.custom_objects = dict(custom_objects or {})
        for name in self.custom_objects:
            if not isinstance(name, str):
                raise TypeError(f"custom_objects: expected a dict by names. Received the key {name!r}")
        self._tokens: list[Token[Mapping[str, Any]]] = []

    def __enter__(self) -> CustomObjectScope:
        self._tokens.append(_scope.set({**_scope.get(), **self.custom_objects}))
        return self

    def __exit__(self, *error: Any) -> None:
        _scope.reset(self._tokens.pop())


custom_object_scope = CustomObjectScope


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """A decorator that gives a class or function the name "package>name" in files and configs.

    https://keras.io/api/models/model_saving_apis/serialization_utils/

    Args:
        package: default "Custom".
        name: default that of the class or function.

    Raises:
        ValueError: a class without get_config.
    """

    def register(thing: T) -> T:
        if isinstance(thing, type) and not hasattr(thing, "get_config"):
            raise ValueError(f"{thing.__name__}: a class must have get_config to be registered")
        full = f"{package}>{name or getattr(thing, '__name__', '')}"
        _registered[full] = thing
        _names[thing] = full
        return thing

    return register


def get_custom_objects() -> dict[str, Any]:
    """All that is registered, by name: a dict that may be changed."""
    return _registered


def get_registered_name(obj: Any) -> str:
    """The name that `register_keras_serializable` gave, else that of the class or function itself."""
    return _names.get(obj) or str(obj.__name__)


def get_registered_object(
    name: str, custom_objects: Mapping[str, Any] | None = None, module_objects: Mapping[str, Any] | None = None
) -> Any:
    """What a name means: in the scopes around the caller, of what is registered, in custom_objects, in module_objects;
    None where nobody knows."""
    for known in (_scope.get(), _registered, custom_objects or {}, module_objects or {}):
        if name in known:
            return known[name]
    return None


def find(name: Any, base: type | None) -> Any:
    """The subclass of `base` (None: of nothing), or the function, that the user gave the name; else None."""
    found = get_registered_object(name) if isinstance(name, str) else None
    if found is None and (kept := _kept.get()) is not None and isinstance(name, str):
        found = kept.get(name)
    good = (base is not None and issubclass(found, base)) if isinstance(found, type) else callable(found)
    return found if good else None


def name_of(thing: Any, taken: Iterable[str]) -> str | None:
    """The name of a class or function of the user, None where it has none that would find it again: a lambda, or one
    whose name is `taken` by something of dlcore."""
    kept = _kept.get()
    if kept is not None:
        kept[f"#{id(thing)}"] = thing
        return f"#{id(thing)}"
    for name, known in _scope.get().items():
        if known is thing and name not in taken:
            return name
    try:
        if thing in _names:
            return _names[thing]
    except TypeError:  # what has no hash
        return None
    name = getattr(thing, "__name__", "")
    good = isinstance(thing, (type, FunctionType)) and name.isidentifier() and name not in taken
    return name if good else None


def described(thing: Any, base: type, taken: Iterable[str]) -> Any:
    """How a config names an object of the user: {"class_name": ..., "config": ...} for one of a class of his, a name
    for a class or function; None where there is no name."""
    if isinstance(thing, base):
        name = name_of(type(thing), taken)
        return name and {"class_name": name, "config": thing.get_config()}  # type: ignore[attr-defined]
    return name_of(thing, taken)


class Family:
    """The classes of one kind by their names: what `get` and `serialize` of its module do.

    Args:
        kind: what messages call one, such as "regularizer".
        base: class of them all, and of the user's.
        by_name: the classes by the names that messages list; the class's own name is understood, too.
        more: further names that are understood.
    """

    def __init__(self, kind: str, base: type, by_name: Mapping[str, Any], more: Mapping[str, Any] | None = None):
        self.kind, self.base, self.names = kind, base, sorted(by_name)
        self.classes = set(by_name.values())
        self.known = {**{cls.__name__: cls for cls in self.classes}, **(more or {}), **by_name}

    def get(self, identifier: Any) -> Any:
        """One from its name, a config dict, an instance, a class, or any function.

        Raises:
            ValueError: an unknown name, or nothing of these.
        """
        if isinstance(identifier, dict):
            name, config = identifier.get("class_name"), identifier.get("config", {})
            if not isinstance(name, str) or not isinstance(config, dict):
                raise ValueError(
                    f"{self.kind}: expected a dict with class_name and config. Received: {identifier!r:.200}"
                )
            return self._made(name, config)
        if isinstance(identifier, str):
            return self._made(identifier, {})
        if isinstance(identifier, type) and issubclass(identifier, self.base):
            return identifier()
        if callable(identifier):
            return identifier
        base = self.base.__name__
        raise ValueError(
            f"{self.kind}: expected a name, {'an' if base[0] in 'AEIOU' else 'a'} {base} or a function. "
            f"Received: {identifier!r}"
        )

    def _made(self, name: str, config: dict[str, Any]) -> Any:
        found = self.known.get(name) or find(name, self.base)
        if found is None:
            raise ValueError(
                f"{self.kind}: expected one of {self.names}. Received: {name!r}{nearest(name, self.names)}"
            )
        return found.from_config(config) if isinstance(found, type) else found  # type: ignore[attr-defined]

    def serialize(self, thing: Any) -> Any:
        """The config dict that `get` understands; a name for a function of the user.

        Raises:
            ValueError: neither of one of these classes, nor one of the user's that has a name.
        """
        if type(thing) in self.classes:
            return {"class_name": type(thing).__name__, "config": thing.get_config()}
        own = described(thing, self.base, self.known)
        if own is None:
            raise ValueError(f"{self.kind}: {thing!r} cannot be saved: it is not one of {self.names}")
        return own


@contextmanager
def kept() -> Iterator[None]:
    """Within the block every object has a name, which is good there only: configs that are made and used in the block
    need no registration. For copies in memory."""
    token = _kept.set({} if _kept.get() is None else _kept.get())
    try:
        yield
    finally:
        _kept.reset(token)
