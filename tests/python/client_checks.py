"""Generates a client from `openapi.json` with openapi-python-client, records audits with it, and reads them back.

Usage: client_checks.py BINARY
"""

import collections
import importlib
import inspect
import json
import pathlib
import shutil
import subprocess
import sys
import time
import typing
import uuid
from datetime import datetime

from openapi_python_client.strings import PythonIdentifier

from demo import Failed, serve_demo

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "target/client-checks"
PACKAGE = "binnacle_client"
SAMPLE = ROOT / "docs/examples/kubernaut-event.json"

GENERATE_SECONDS = 120
# The longest that lists may take to show what is recorded.
SHOWN_SECONDS = 10

NOTIFICATIONS = "/api/v1/audit/notifications"
EVENTS = "/api/v1/audit/events"
EVENT = "/api/v1/audit/events/{event_id}"


def main(binary):
    FOLDER.mkdir(parents=True, exist_ok=True)
    document = ROOT / "openapi.json"
    generate(document)
    sys.path.insert(0, str(FOLDER / "python"))
    with serve_demo(binary, FOLDER / "demo.log") as url:
        client = Generated(json.loads(document.read_text()), url)
        remediation = f"rr-client-{uuid.uuid4().hex[:8]}"
        records(client, remediation)
        refuses(client, remediation)
    print("client-checks: python: an audit and an event are recorded, read back by id and in the list, and a mistake is told")


def generate(document):
    """Makes the client anew. What the generator cannot make anything of, it leaves out with a warning."""
    operations_have_names_of_their_own(json.loads(document.read_text()))
    into, settings, output = FOLDER / "python" / PACKAGE, FOLDER / "python.json", FOLDER / "python.txt"
    shutil.rmtree(into.parent, ignore_errors=True)
    into.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"post_hooks": []}))  # formatting is for people
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", document, "--meta", "none"]
    command += ["--output-path", into, "--config", settings, "--fail-on-warning"]
    with open(output, "w") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, timeout=GENERATE_SECONDS)
    if done.returncode != 0:
        raise Failed(f"the generator does not understand openapi.json; {output} has all of it:\n{output.read_text()[:4_000]}")


def operations_have_names_of_their_own(document):
    """Generators name functions after them."""
    ids = collections.Counter(operation.get("operationId") for path in document["paths"].values() for operation in path.values())
    if twice := [name for name, count in ids.items() if count > 1]:
        raise Failed(f"openapi.json has several operations with one `operationId`: {twice}")


class Generated:
    """The generated functions, found by the path that they ask."""

    def __init__(self, document, url):
        self.paths = document["paths"]
        self.client = importlib.import_module(PACKAGE).Client(base_url=url, raise_on_unexpected_status=True)

    def call(self, method, path, **arguments):
        """What the generated function makes of the answer, and its status."""
        answer = self.function(method, path)(client=self.client, **arguments)
        return answer.parsed, int(answer.status_code)

    def body(self, method, path, fields):
        """The generated model of a body: of several the one that knows most of these fields."""
        annotation = inspect.signature(self.function(method, path)).parameters["body"].annotation
        models = [model for model in typing.get_args(annotation) or [annotation] if hasattr(model, "from_dict")]
        if not models:
            raise Failed(f"no model was generated for the body of {method} {path}: it is {annotation}")
        known = lambda model: len(fields.keys() & {field.name for field in model.__attrs_attrs__})
        return max(models, key=known).from_dict(fields)

    def function(self, method, path):
        operation = self.paths[path][method]
        tag, name = (PythonIdentifier(word, prefix="field_") for word in (operation["tags"][0], operation["operationId"]))
        return importlib.import_module(f"{PACKAGE}.api.{tag}.{name}").sync_detailed


def records(client, remediation):
    audit, event = uuid.uuid4(), uuid.uuid4()
    sent = client.body("post", NOTIFICATIONS, notification(remediation, audit, "2026-05-04T10:10:09Z"))
    receipt, status = client.call("post", NOTIFICATIONS, body=sent)
    expect("the status of a record", status, 201)
    expect("the receipt's event_id", receipt.event_id, audit)
    expect("the receipt's remediation_id", receipt.remediation_id, remediation)
    expect("whether it was recorded before", receipt.duplicate, False)
    again, status = client.call("post", NOTIFICATIONS, body=sent)
    expect("the status of a replay", status, 200)
    expect("whether the replay was recorded before", again.duplicate, True)
    expect("the position of the replay", again.position, receipt.position)

    envelope = json.loads(SAMPLE.read_text()) | {"event_id": str(event), "correlation_id": remediation}
    created, status = client.call("post", EVENTS, body=client.body("post", EVENTS, envelope))
    expect("the status of an event", status, 201)
    expect("the event's id", created.event_id, event)

    read, status = client.call("get", EVENT, event_id=event)
    expect("the status of a read", status, 200)
    for name in ("event_id", "event_type", "event_category", "event_action", "event_outcome", "correlation_id", "event_data"):
        expect(f"`{name}` of what is read back", told(read).get(name), envelope[name])
    at = [datetime.fromisoformat(event["event_timestamp"]) for event in (told(read), envelope)]
    expect("`event_timestamp` of what is read back", at[0], at[1])
    read, status = client.call("get", EVENT, event_id=audit)
    expect("the remediation of the audit that is read back", told(read)["correlation_id"], remediation)
    expect("whether it tells the notification", f"nt-{remediation}" in json.dumps(told(read)), True)

    expect("the ids of the list", listed(client, remediation, 2), sorted([str(audit), str(event)]))


def refuses(client, remediation):
    sent = client.body("post", NOTIFICATIONS, notification(remediation, uuid.uuid4(), "2126-05-04T10:10:09Z"))
    problem, status = client.call("post", NOTIFICATIONS, body=sent)
    expect("the status of a mistake", status, 422)
    expect("the problem's type", told(problem)["type"], "/problems/invalid-audit")
    expect("the pointers of the problem", [error["pointer"] for error in told(problem)["errors"]], ["/occurred_at"])


def listed(client, remediation, count):
    """The ids of the events of a remediation, in their order, once there are as many."""
    deadline = time.monotonic() + SHOWN_SECONDS
    while True:
        page, status = client.call("get", EVENTS, correlation_id=remediation)
        expect("the status of a list", status, 200)
        if len(page.data) >= count or time.monotonic() > deadline:
            return sorted(str(event.event_id) for event in page.data)
        time.sleep(0.05)


def notification(remediation, event_id, at):
    return {
        "event_id": str(event_id),
        "remediation_id": remediation,
        "occurred_at": at,
        "notification_id": f"nt-{remediation}",
        "channel": "slack",
        "status": "delivered",
    }


def told(model):
    """A model as the JSON that it stands for."""
    return model.to_dict()


def expect(what, found, wanted):
    if found != wanted:
        raise Failed(f"{what} is {found!r}, expected {wanted!r}")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (Failed, OSError) as failure:
        sys.exit(f"client-checks: python: FAILED: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
