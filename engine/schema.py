"""What an editor needs to complete, explain and check rule files and config.toml while they are written.

JSON Schema of the features that editors for TOML have (those of Draft 4), made from the same models that the files are
validated by. It is never stricter than those; what a schema cannot say, such as that a name exists, the loader does.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from engine.config.model import Settings
from engine.rules.document import File
from engine.rules.model import Logic, Operator
from engine.schema_words import KEYS

DIALECT = "http://json-schema.org/draft-04/schema#"
PLACEHOLDER = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"
"""`${NAME}` in a text of config.toml: anything, until it is looked up."""

_KEPT = ("type", "properties", "additionalProperties", "patternProperties", "required", "items", "enum", "pattern",
         "minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength", "anyOf", "not", "$ref")  # fmt: skip
_COMPLETED = (*(logic.value for logic in Logic), "metric")
"""What makes an entry: a table with one of these."""

Table = dict[str, Any]


def rules() -> Table:
    """The schema of a rule file."""
    made = _schema(File, _plain)
    for name in ("Entry", "RuleTable"):
        made["definitions"][name]["allOf"] = _conditions()
        made["definitions"][name]["dependencies"] = {key: ["metric"] for key in ("window", "reset")}
    return made


def config() -> Table:
    """The schema of config.toml, where any text may hold a `${NAME}`."""
    return _schema(Settings, _with_placeholder)


def text(schema: Table) -> str:
    return json.dumps(schema, ensure_ascii=False, indent=2) + "\n"


def _schema(model: type[BaseModel], fitted: Callable[[Table], Table]) -> Table:
    made = model.model_json_schema(by_alias=True)
    definitions = {name: _table(name, each, fitted) for name, each in made.pop("$defs").items()}
    enums = {name: each for name, each in definitions.items() if "properties" not in each}
    top = _table(model.__name__, made, fitted)
    tables = {name: each for name, each in definitions.items() if name not in enums}
    whole: Table = _inlined({"$schema": DIALECT, **top, "definitions": tables}, enums)
    return whole


def _table(name: str, made: Mapping[str, Any], fitted: Callable[[Table], Table]) -> Table:
    kept: Table = _converted(made, fitted)
    for key, value in kept.get("properties", {}).items():
        told = KEYS[f"{name}.{key}"]
        if "$ref" in value:  # what stands beside a reference is not read
            value["allOf"] = [{"$ref": value.pop("$ref")}]
        value["description"] = f"{told.en}\n\n{told.ko}"
        written = made["properties"][key].get("default")
        if isinstance(written, bool | int | float | str) and _is_as_written(written, made["properties"][key]):
            value["default"] = written
    return kept


def _is_as_written(default: object, made: Mapping[str, Any]) -> bool:
    """Whether a default looks in a file as it does in the model; a duration does not."""
    return "pattern" not in made and (isinstance(default, str) == (made.get("type", "string") == "string"))


def _converted(made: Any, fitted: Callable[[Table], Table]) -> Any:
    """Less what Draft 4 does not know, and less `null`, which TOML does not have."""
    if isinstance(made, list):
        return [_converted(each, fitted) for each in made]
    if not isinstance(made, dict):
        return made
    if "const" in made:
        made = {"type": "string", "enum": [made["const"]]}
    kept = {key: value for key, value in made.items() if key in _KEPT}
    for key in ("properties", "patternProperties"):
        if key in kept:
            kept[key] = {name: _converted(each, fitted) for name, each in kept[key].items()}
    for key in ("additionalProperties", "items"):
        if key in kept:
            kept[key] = _converted(kept[key], fitted)
    if "exclusiveMinimum" in made:
        kept |= {"minimum": made["exclusiveMinimum"], "exclusiveMinimum": True}
    if "anyOf" in kept:
        several = [_converted(each, fitted) for each in kept.pop("anyOf") if each != {"type": "null"}]
        kept |= several[0] if len(several) == 1 else {"anyOf": several}
    return fitted(kept)


def _plain(schema: Table) -> Table:
    return schema


def _with_placeholder(schema: Table) -> Table:
    if schema.get("type") != "string" or not {"enum", "pattern"} & schema.keys():
        return schema
    return {"anyOf": [schema, {"type": "string", "pattern": PLACEHOLDER}]}


def _inlined(schema: Any, enums: Mapping[str, Table]) -> Any:
    """References to tables point into `definitions`; lists of words stand where they are used."""
    if isinstance(schema, list):
        return [_inlined(each, enums) for each in schema]
    if not isinstance(schema, dict):
        return schema
    only = schema.get("allOf")
    reference = schema.get("$ref") or (only[0].get("$ref") if isinstance(only, list) and len(only) == 1 else None)
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        rest = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
        if name in enums:
            return {**rest, **enums[name]}
        target = {"$ref": f"#/definitions/{name}"}
        return {**rest, "allOf": [target]} if rest else target
    return {key: _inlined(value, enums) for key, value in schema.items()}


def _conditions() -> list[Table]:
    """What goes together in a condition, as far as Draft 4 can say it."""
    operators = [{"required": [operator.value]} for operator in Operator]
    without_window = {"metric": {"enum": ["resting_imbalance"]}}
    ranges = [{"required": [operator.value]} for operator in Operator if operator.is_range]
    return [
        {"oneOf": [{"required": [key]} for key in _COMPLETED]},
        {"oneOf": [{"not": {"required": ["metric"]}}, *operators]},
        {"not": {"required": ["metric", "window"], "properties": without_window}},
        {"not": {"required": ["reset"], "anyOf": ranges}},
    ]
