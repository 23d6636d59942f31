"""Pydantic's findings → our problems: every error of a file at once, with its line, in words of the user's file."""

import json
from collections.abc import Callable, Collection, Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from engine.problems import Problem, WrongValueError, nearest
from engine.toml import Document, Location

_Model = TypeVar("_Model", bound=BaseModel)

Nearest = Callable[[str, Collection[str]], str]
"""The known word that was probably meant, or nothing."""

_TYPES = {  # pydantic's error type → our code
    "missing": "missing-key",
    "string_type": "not-text",
    "string_sub_type": "not-text",
    "int_type": "not-integer",
    "int_from_float": "not-integer",
    "float_type": "not-number",
    "finite_number": "not-number",
    "bool_type": "not-boolean",
    "tuple_type": "not-list",
    "dict_type": "not-table",
    "model_type": "not-table",
    "model_attributes_type": "not-table",
    "date_type": "not-a-date",
    "date_parsing": "not-a-date",
    "date_from_datetime_inexact": "not-a-date",
    "date_from_datetime_parsing": "not-a-date",
    "string_too_short": "empty",
    "too_short": "empty",
}
_BOUNDS = {"greater_than_equal": ("≥", "ge"), "greater_than": (">", "gt"), "less_than_equal": ("≤", "le")}


def validate(model: type[_Model], data: Any, document: Document, base: Location = ()) -> _Model | list[Problem]:
    """`data`, which stands at `base` in the document, as `model`; or all that is wrong with it."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        # include_input=False: an input may be a secret
        found = error.errors(include_input=False, include_url=False)
        return [_problem(details, model, data, document, base) for details in found]


def validate_rest(
    model: type[_Model],
    data: Any,
    document: Document,
    base: Location,
    *,
    missing: Mapping[str, Any],
    meant: Nearest = nearest,
) -> tuple[_Model, list[Problem], frozenset[Location]]:
    """`data`, a table, less what is wrong with it; all that is wrong; and the places that were left out.

    So that what goes together can be checked where single values are wrong. Needs a model whose required keys are all
    in `missing`, which stands for them where they have no usable value. `meant` finds suggestions for unknown keys.
    """
    try:
        return model.model_validate(data), [], frozenset()
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
    problems = [_problem(details, model, data, document, base, meant=meant) for details in found]
    gone = {_left_out(_place(details)) for details in found}
    rest = _without(data, gone, ())
    return model.model_validate({**missing, **rest}), problems, frozenset((*base, *place) for place in gone)


def _place(details: ErrorDetails) -> Location:
    """What is to blame, as seen from the table."""
    wrong = details.get("ctx", {}).get("error")
    below = wrong.at if isinstance(wrong, WrongValueError) else ()
    return (*(step for step in details["loc"] if step != "[key]"), *below)


def _left_out(location: Location) -> Location:
    """The key that holds it: an element left out of a list would move the others."""
    while isinstance(location[-1], int):
        location = location[:-1]
    return location


def _without(value: Any, gone: Collection[Location], at: Location) -> Any:
    if isinstance(value, dict):
        kept = ((key, inner) for key, inner in value.items() if (*at, key) not in gone)
        return {key: _without(inner, gone, (*at, key)) for key, inner in kept}
    if isinstance(value, tuple):
        return tuple(_without(inner, gone, (*at, index)) for index, inner in enumerate(value))
    return value


def _problem(
    details: ErrorDetails,
    model: type[BaseModel],
    data: Any,
    document: Document,
    base: Location,
    *,
    meant: Nearest = nearest,
) -> Problem:
    location = tuple(step for step in details["loc"] if step != "[key]")
    context: Mapping[str, Any] = details.get("ctx", {})
    place = (*base, *location)
    kind = details["type"]
    if isinstance(wrong := context.get("error"), WrongValueError):
        return document.problem((*place, *wrong.at), wrong.code, **wrong.detail)
    if kind == "extra_forbidden":
        known = _keys_at(model, location[:-1])
        return document.problem(place, "unknown-key", nearest=meant(str(location[-1]), known))
    if kind in ("enum", "literal_error"):
        allowed = str(context["expected"]).replace("'", '"').replace(" or ", ", ")
        found = _at(data, location)
        words = [word.strip('" ') for word in allowed.split(",")]
        likely = meant(found, words) if isinstance(found, str) else ""
        return document.problem(place, "not-one-of", found=shown(found), allowed=allowed, nearest=likely)
    if kind in _BOUNDS:
        sign, key = _BOUNDS[kind]
        return document.problem(
            place, "out-of-range", found=shown(_at(data, location)), allowed=f"{sign} {context[key]:g}"
        )
    if kind == "string_too_long":
        return document.problem(place, "too-long", limit=str(context["max_length"]))
    return document.problem(place, _TYPES[kind])


def shown(value: Any) -> str:
    """A value as it would be written in TOML, text without its quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _at(data: Any, location: Location) -> Any:
    """The value found. Only asked for where the allowed values are listed or bounded, which no secret's are."""
    for step in location:
        data = data[step]
    return data


def _keys_at(model: type[BaseModel], location: Location) -> list[str]:
    """Keys that the table at `location` may have."""
    annotation: Any = model
    for step in location:
        annotation = _inside(annotation, step)
    fields = _plain(annotation).model_fields.items()
    return [field.alias or name for name, field in fields]


def _inside(annotation: Any, step: str | int) -> Any:
    """Type of the value at `step`, in a table, a list or a mapping."""
    annotation = _plain(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return next(
            field.annotation for name, field in annotation.model_fields.items() if step == (field.alias or name)
        )
    return get_args(annotation)[1 if get_origin(annotation) is dict else 0]


def _plain(annotation: Any) -> Any:
    """`X` of `X | None` and of `Annotated[X, …]`."""
    while get_origin(annotation) in (Annotated, Union, UnionType):
        annotation = get_args(annotation)[0]
    return annotation
