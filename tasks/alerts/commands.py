"""The commands of a mail: the runbook's, with values of the case in place of the shell's variables. Pure."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from functools import partial
from itertools import product
from shlex import quote

INDENT = "    "
"""Before each command in the text of an entry."""
_LOAD = re.compile(r"(prefect deployment run 'daily-sales/\w+' -p date=)\$DATE")
ONLY = ' -p "regions=[\\"$REGION\\"]"'
"""How the runbook names the region of a load."""
NAMES = ("DATE", "REGION", "RUN", "VARIABLE", "VALUE", "COLUMN")
_VARIABLE = re.compile(rf"\"?\$({'|'.join(NAMES)})\b\"?")
PERCENT = 100
_PLAIN = re.compile(r"[\w.:-]+")

Values = Mapping[str, Sequence[str]]
"""The values of each of NAMES; none for a name that the case lacks."""


def fill_in(text: str, values: Values, only: Sequence[str]) -> str:
    """Returns the text with complete commands: one line for each value, none where there is no value.

    Loads name all regions of `only` at once, and no region when it is empty.
    """
    lines = [filled for line in text.splitlines() for filled in _filled(line, values, only)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _filled(line: str, values: Values, only: Sequence[str]) -> Iterator[str]:
    if not line.startswith(INDENT):
        yield line
        return
    if _LOAD.search(line):
        regions = f" -p {quote(f'regions={json.dumps(list(only))}')}" if only else ""
        line = _LOAD.sub(lambda load: f"{load[1]}$DATE{regions}", line.replace(ONLY, ""))
    names = list(dict.fromkeys(match[1] for match in _VARIABLE.finditer(line)))
    for chosen in product(*(values.get(name, ()) for name in names)):
        of_name = dict(zip(names, chosen, strict=True))
        quoted = all(f'"${name}"' in line for name, value in of_name.items() if not _PLAIN.fullmatch(value))
        if quoted:
            yield _VARIABLE.sub(partial(_put_in, of_name), line)


def _put_in(of_name: Mapping[str, str], match: "re.Match[str]") -> str:
    """Returns the value, quoted where the word is nothing but the quoted variable."""
    text, value = match[0], of_name[match[1]]
    if text.startswith('"') and text.endswith('"'):
        return quote(value)
    return text.replace(f"${match[1]}", value)


_LIMITS = (
    (re.compile(r"record count (\d+) is below threshold"), "min_record_count", Decimal(0)),
    (re.compile(r"rejected \d+ of \d+ rows \((\d+(?:\.\d+)?) %\)"), "max_rejected_percentage", Decimal("0.01")),
    (re.compile(r"NULL share of .{1,80}? is (\d+(?:\.\d+)?) %"), "max_null_percentage", Decimal("0.01")),
)
"""The figure in an error that missed a limit, the limit's variable, and what rounding may have cut from the figure: a
NULL share equal to its limit is refused, too."""
_BAD_VARIABLE = re.compile(r"`(?:\w+=\w+ )?python -m blocks\.variables (\w+) (\d+(?:\.\d+)?)` sets the default")


def limit_in(error: str) -> tuple[str, str] | None:
    """Returns the variable that an error is about and the value to set: the limit with which the batch would have
    passed, or the default of an unusable number. None for names, addresses and lists: their defaults are examples."""
    for pattern, name, lost in _LIMITS:
        if found := pattern.findall(error):
            needed = (max(map(Decimal, found)) + lost).to_integral_value(ROUND_CEILING)
            return (name, str(needed)) if name == "min_record_count" or needed <= PERCENT else None
    bad = _BAD_VARIABLE.search(error)
    return (bad[1], bad[2]) if bad else None
