"""Settings from environment variables: each is read, or refused by name."""

from collections.abc import Mapping

Environment = Mapping[str, str]


class MissingSettingError(ValueError):
    """Raised when an environment variable is missing or unusable; names it and its form."""


def required(environment: Environment, name: str, form: str) -> str:
    """Returns the value of an environment variable. Raises MissingSettingError naming it and its form."""
    value = environment.get(name, "").strip()
    if not value:
        raise MissingSettingError(f"{name} is not set: give it as {form}")
    return value


def whole_number(environment: Environment, name: str, default: str = "") -> int:
    """Returns the whole number in an environment variable. Raises MissingSettingError naming it and its value."""
    text = environment.get(name, default)
    if not (text.isascii() and text.isdecimal()):
        raise MissingSettingError(f"{name} is {text!r}: give it as a whole number")
    return int(text)
