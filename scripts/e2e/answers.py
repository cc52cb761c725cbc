"""What holds for every answer to the Python client: the published schemas and the contract's (scripts/e2e/schemas). Counts checks.

Answers are looked at where `requests` hands them to the client, so that the client itself stays as it is.
"""

import collections
import json
import pathlib
import re
import urllib.parse

from jsonschema import Draft7Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT7

SCHEMAS = pathlib.Path(__file__).parent / "schemas"
# As the Node client's own tests call them.
ALIASES = {"notification.json": "GET_notification_response.json", "receivedText.json": "GET_received_text_response.json"}
# Newer than the published schema, which allows nothing besides what it names (schemas/README.md).
NOT_YET_PUBLISHED = {"POST_notification_email_response": "sanitised_content"}
DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


class Tally:
    """Prints a line per check and counts them."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, what, found, expected):
        if found == expected:
            self.ok(what)
        else:
            self.fail(what, f"found {found!r}, expected {expected!r}")

    def check_that(self, what, holds, shown):
        """For what is not an equality; `what` says what is expected."""
        if holds:
            self.ok(what)
        else:
            self.fail(what, f"found {shown!r}")

    def ok(self, what):
        self.passed += 1
        print(f"ok     {what}", flush=True)

    def fail(self, what, why):
        self.failed += 1
        print(f"FAILED {what}: {why}", flush=True)

    def flow(self, steps, *arguments):
        """Runs them; what is raised there fails these, not the rest."""
        try:
            return steps(*arguments)
        except Exception as error:
            self.fail(steps.__name__.replace("_", " "), f"it ended with {type(error).__name__}: {error}")
            return None


class Answers:
    """The schemas, and what was held against them."""

    def __init__(self, tally):
        self.tally, self.met, self.misfits = tally, collections.Counter(), 0
        files = {path.name: json.loads(path.read_text()) for path in (SCHEMAS / "published").glob("*.json")}
        files.update({alias: files[name] for alias, name in ALIASES.items()})
        self.published = files
        self.contract = json.loads((SCHEMAS / "contract.json").read_text())
        self.routes = json.loads((SCHEMAS / "answers.json").read_text())
        self.registry = Registry().with_resources((name, DRAFT7.create_resource(schema)) for name, schema in files.items())
        self.formats = FormatChecker(formats=())
        for name, holds in {
            "date-time": lambda value: DATE_TIME.fullmatch(value) is not None,
            "uri": lambda value: bool(urllib.parse.urlsplit(value).scheme and urllib.parse.urlsplit(value).netloc),
            "email_address": lambda value: value.count("@") == 1,
        }.items():
            self.formats.checks(name)(lambda value, holds=holds: not isinstance(value, str) or holds(value))

    def watch(self, client):
        client.request_session.hooks["response"].append(lambda response, **_: self.meet(response))
        return client

    def meet(self, response):
        method, path = response.request.method, urllib.parse.urlsplit(response.url).path
        answer = f"{response.status_code} to {method} {path}"
        route = next((route for route in self.routes
                      if route["method"] == method and re.fullmatch(route["path"], path)), None)
        if route is None:
            return self.misfit(answer, "no schema is named for this URL (schemas/answers.json)")
        if response.headers.get("content-type") != "application/json":
            return self.misfit(answer, f"the content type is {response.headers.get('content-type')!r}, expected 'application/json'")
        self.met[route["contract"] if response.ok else "error"] += 1
        if not response.ok:
            form = "error" if path.startswith("/v2/") else "plain_error"
            self.fits(answer, response.json(), self.contract_schema(form), self.registry)
            if form == "error" and response.json().get("status_code") != response.status_code:
                self.misfit(answer, f"status_code is {response.json().get('status_code')!r}")
        elif response.status_code != route["status"] or "published" not in route:
            self.misfit(answer, f"expected {route['status'] if 'published' in route else 'a refusal'}")
        else:
            self.fits(answer, response.json(), self.contract_schema(route["contract"]), self.registry)
            body = {name: value for name, value in response.json().items()
                    if name != NOT_YET_PUBLISHED.get(route["published"])}
            self.fits(answer, body, self.published[route["published"] + ".json"], self.registry)

    def contract_schema(self, name):
        return {**self.contract, "$ref": f"#/definitions/{name}"}

    def fits(self, answer, body, schema, registry):
        validator = Draft7Validator(schema, registry=registry, format_checker=self.formats)
        for error in validator.iter_errors(body):
            self.misfit(answer, f"{error.json_path}: {error.message}")

    def misfit(self, answer, why):
        self.misfits += 1
        self.tally.fail(f"schema: {answer}", why)

    def close(self):
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.met.items()))
        self.tally.check(f"schema: every answer fits ({kinds})", self.misfits, 0)


class Recorded:
    """Passes everything on to the client, and remembers which methods were used."""

    used = set()

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        self.used.add(name)
        return getattr(self._client, name)
