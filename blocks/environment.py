"""Settings out of environment variables: each is read, or refused in words that name it."""

from collections.abc import Mapping

Environment = Mapping[str, str]


class MissingSettingError(ValueError):
    """Raised when an environment variable is missing or unusable; names it and shows its form."""


def required(environment: Environment, name: str, form: str) -> str:
    """The value of an environment variable. Raises MissingSettingError naming it and its form."""
    value = environment.get(name, "").strip()
    if not value:
        raise MissingSettingError(f"{name} is not set: give it as {form}")
    return value


def whole_number(environment: Environment, name: str, default: str = "") -> int:
    """The whole number of an environment variable. Raises MissingSettingError naming it and its value."""
    text = environment.get(name, default)
    if not (text.isascii() and text.isdecimal()):
        raise MissingSettingError(f"{name} is {text!r}: give it as a whole number")
    return int(text)
