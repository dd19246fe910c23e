"""The JSON of the operator's part, field by field."""

from marshmallow import fields, validate

from node.api.fields import Answer, many, maybe, text
from node.settings import LEVELS


class SettingInEffect(Answer):
    name = text()
    value = fields.Raw(
        required=True, allow_none=True, metadata={"type": ["string", "number", "boolean", "array", "null"]}
    )
    source = fields.String(required=True, validate=validate.OneOf(["default", "flag", "environment", "file"]))
    where = maybe(text(description="the flag, the variable or the file that says so"))


class SettingsInEffect(Answer):
    """No secret is a setting."""

    settings = many(SettingInEffect)
    log_level = fields.String(required=True, validate=validate.OneOf(LEVELS))


class Done(Answer):
    done = text(description="what the node does now, in words")
