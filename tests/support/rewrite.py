"""An interpreter of the site's mod_rewrite rules: returns the response to a request without an Apache.

It supports what the site uses, as in Apache 2.4's mod_rewrite.c for rules of a virtual host. Anything else is an error:

- RewriteCond: regular expressions with !, NC and NV; -f and -d with !; OR; expr with reqenv(), >= of strings, and &&.
- RewriteRule: regular expressions with !; flags R, L, S, E, N, T, H, PT, P, F; $N, %N, %{...}, ${lower:...}.

The pattern of a rule is matched before its conditions. %{REQUEST_URI} remains the client's, and patterns are matched
against the result of earlier rules. Regular expressions are PCRE's with Apache's defaults: "." matches everything, and
"$" matches only the very end.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

KNOWN_FLAGS = {"R", "L", "S", "E", "N", "T", "H", "PT", "P", "F", "NC", "NV", "OR"}


@dataclass(frozen=True)
class Condition:
    """One RewriteCond."""

    test: str
    pattern: str
    flags: dict[str, list[str]]


@dataclass(frozen=True)
class Rule:
    """One RewriteRule with its conditions."""

    conditions: tuple[Condition, ...]
    pattern: str
    target: str
    flags: dict[str, list[str]]


@dataclass
class Outcome:
    """The result of a request.

    kind: "status", "redirect" (with a status), "proxy", "file", or "pass" (the current URL is passed on). type: set by
    flag T; handler: set by flag H.
    """

    kind: str
    target: str = ""
    status: int = 200
    env: dict[str, str] = field(default_factory=dict)
    type: str | None = None
    handler: str | None = None


def words_of(line: str) -> list[str]:
    """Split a directive's arguments at whitespace, except within double quotes."""
    return [quoted or plain for quoted, plain in re.findall(r'"((?:\\.|[^"\\])*)"|(\S+)', line)]


def flags_of(word: str) -> dict[str, list[str]]:
    """Parse flags such as [R=302,L] by name. Raises AssertionError for unsupported ones."""
    flags: dict[str, list[str]] = {}
    assert re.fullmatch(r"\[[^\[\]]+\]", word), word
    for flag in word[1:-1].split(","):
        name, _, value = flag.partition("=")
        assert name in KNOWN_FLAGS, word
        flags.setdefault(name, []).append(value)
    return flags


@cache
def compiled(pattern: str, ignore_case: bool = False) -> re.Pattern[str]:
    """Compile a PCRE regular expression as Apache does."""
    pattern = re.sub(r"\(\?<(?![=!])", "(?P<", pattern)
    pattern = re.sub(r"(?<!\\)\$(?=$|\))", r"\\Z", pattern)
    return re.compile(pattern, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def rules_of(lines: list[str]) -> list[Rule]:
    """Parse the rewrite rules of a virtual host in their order."""
    rules: list[Rule] = []
    conditions: list[Condition] = []
    for line in lines:
        directive, _, rest = line.partition(" ")
        if directive not in ("RewriteCond", "RewriteRule"):
            continue
        words = words_of(rest)
        flags = flags_of(words[2]) if len(words) > 2 else {}
        if directive == "RewriteCond":
            conditions.append(Condition(words[0], words[1], flags))
        else:
            rules.append(Rule(tuple(conditions), words[0], words[1], flags))
            conditions = []
    assert not conditions
    return rules


class Request:
    """A request that is processed by the rules."""

    def __init__(
        self, uri: str, method: str, headers: dict[str, str], exists: Callable[[str], bool], env: dict[str, str]
    ):
        self._request_uri = self._uri = uri
        self._method, self._exists = method, exists
        self._headers = {name.lower(): value for name, value in headers.items()}
        self.env = dict(env)
        self._rule: re.Match[str] | None = None
        self._condition: re.Match[str] | None = None

    def run(self, rules: list[Rule]) -> Outcome:
        """Apply the rules until one ends the processing."""
        outcome = Outcome("pass", env=self.env)
        number = rounds = 0
        while number < len(rules):
            rule = rules[number]
            number += 1
            if not self._applies(rule):
                continue
            if ended := self._apply(rule, outcome):
                return ended
            if "N" in rule.flags:
                rounds += 1
                assert rounds < int(rule.flags["N"][0]), "Apache responds with 500"
                number = 0
            number += sum(int(count) for count in rule.flags.get("S", []))
            if "L" in rule.flags or "PT" in rule.flags:
                break
        outcome.target = self._uri
        if self._uri != self._request_uri and not rule.flags.keys() & {"PT"}:
            outcome.kind = "file"
        return outcome

    def _apply(self, rule: Rule, outcome: Outcome) -> Outcome | None:
        """Apply a rule. Returns the outcome if it ends the processing."""
        target = None if rule.target == "-" else self._expand(rule.target)
        for assignment in rule.flags.get("E", []):
            name, _, value = assignment.partition(":")
            self.env[name] = self._expand(value)
        if "F" in rule.flags:
            return Outcome("status", status=403, env=self.env)
        if "R" in rule.flags:
            status = int(rule.flags["R"][0])
            if status >= 400:
                return Outcome("status", status=status, env=self.env)
            return Outcome("redirect", target or "", status, self.env)
        if "P" in rule.flags:
            return Outcome("proxy", target or "", env=self.env)
        if target is not None:
            self._uri = target
        outcome.type = self._expand(rule.flags["T"][0]) if "T" in rule.flags else outcome.type
        outcome.handler = rule.flags["H"][0] if "H" in rule.flags else outcome.handler
        return None

    def _applies(self, rule: Rule) -> bool:
        negated = rule.pattern.startswith("!")
        self._rule = compiled(rule.pattern.removeprefix("!"), "NC" in rule.flags).search(self._uri)
        self._condition = None
        if bool(self._rule) is negated:
            return False
        conditions = list(rule.conditions)
        while conditions:
            alternatives = [conditions.pop(0)]
            while "OR" in alternatives[-1].flags:
                alternatives.append(conditions.pop(0))
            if not any(self._holds(condition) for condition in alternatives):
                return False
        return True

    def _holds(self, condition: Condition) -> bool:
        if condition.test == "expr":
            return all(self._compare(part) for part in condition.pattern.split(" && "))
        text = self._expand(condition.test)
        negated, pattern = condition.pattern.startswith("!"), condition.pattern.removeprefix("!")
        if pattern in ("-f", "-d"):
            return self._exists(text) is not negated
        assert pattern[0] not in "<>=-", condition
        match = compiled(pattern, "NC" in condition.flags).search(text)
        if match and not negated:
            self._condition = match
        return bool(match) is not negated

    def _compare(self, part: str) -> bool:
        """Evaluate a comparison of ap_expr: strings are compared as by C's strcmp."""
        found = re.fullmatch(r"reqenv\('(\w+)'\) (!~|=~|>=) (?:/(.*)/|reqenv\('(\w+)'\))", part)
        assert found, part
        value = self.env.get(found[1], "")
        if found[2] == ">=":
            return value >= self.env.get(found[4], "")
        return bool(compiled(found[3]).search(value)) is (found[2] == "=~")

    def _expand(self, text: str) -> str:
        def lower(match: re.Match[str]) -> str:
            return self._expand(match[1]).lower()

        def variable(match: re.Match[str]) -> str:
            if match["number"]:
                source = self._rule if match["kind"] == "$" else self._condition
                return (source[int(match["number"])] or "") if source else ""
            kind, _, name = match["name"].partition(":")
            if kind == "ENV":
                return self.env.get(name, "")
            if kind == "HTTP":
                return self._headers.get(name.lower(), "")
            return {"REQUEST_URI": self._request_uri, "REQUEST_METHOD": self._method}[kind]

        text = re.sub(r"\$\{lower:([^}]*)\}", lower, text)
        return re.sub(r"(?P<kind>[$%])(?P<number>[0-9])|%\{(?P<name>[^}]+)\}", variable, text)


def respond(
    rules: list[Rule],
    uri: str,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    exists: Callable[[str], bool] = lambda _path: True,
    env: dict[str, str] | None = None,
) -> Outcome:
    """Return the result of a request. exists: returns whether a file or directory exists on the server."""
    return Request(uri, method, headers or {}, exists, env or {}).run(rules)
