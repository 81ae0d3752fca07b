"""Lets schemathesis judge the REST face of a live Binnacle by the document that it serves.

Usage: rest_checks.py BINARY [--long] [--seed NUMBER]

Requests are made from the document, valid ones and broken ones. No answer may be a 5xx, or one that the document does not
describe: its status, its media type, its headers, its schema.
"""

import argparse
import hashlib
import json
import pathlib
import subprocess
import sys
import urllib.request

from demo import Failed, serve_demo

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
REPORTS = ROOT / "target/rest-checks"

# A run that finds something has to find it again.
SEED = 20260504
# All of the short run, the demo's start included, stays below a minute.
SHORT_SECONDS = 45
LONG_SECONDS = 420
LONG_EXAMPLES = 2_000
CALLER_SECONDS = 45
# How much longer than asked for a run may take, to shrink what it found and to write its reports.
LATE_SECONDS = 120
# Most lines of a run that are shown; the whole is in its file.
LINES_MAX = 150

# What the caller `notifier` may record is told by its events' types, so these endpoints do not refuse it outright.
NOTIFIERS = {
    "POST /api/v1/audit/notifications",
    "POST /api/v1/audit/events",
    "POST /api/v1/audit/events/batch",
}


def main():
    parser = argparse.ArgumentParser(prog="rest-checks", description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--long", action="store_true", help="take some minutes")
    parser.add_argument("--seed", type=int, default=SEED)
    asked = parser.parse_args()
    REPORTS.mkdir(parents=True, exist_ok=True)
    failed = anybody(asked)
    if asked.long:
        failed += known_callers(asked)
    return 1 if failed else 0


def anybody(asked):
    """A server that asks for no tokens."""
    phases, seconds, more = "examples,coverage,fuzzing", SHORT_SECONDS, []
    if asked.long:
        phases, seconds, more = f"{phases},stateful", LONG_SECONDS, ["--max-examples", str(LONG_EXAMPLES)]
    with serve_demo(asked.binary, REPORTS / "anybody.log") as url:
        run = judge("anybody", f"{url}/openapi.json", ["--phases", phases, *more], seconds, asked.seed)
    return tell(run, refused_only(run))


def known_callers(asked):
    """A server that wants to know who calls: somebody who may do everything, nobody, and somebody who may do little."""
    tokens = REPORTS / "callers.txt"
    lines = [("everything", "*", "read", "admin"), ("notifier", "NOTIFICATION")]
    tokens.write_text("".join(f"{name} {sha256(name)} {' '.join(may)}\n" for name, *may in lines))
    with serve_demo(asked.binary, REPORTS / "callers.log", "--tokens-file", str(tokens)) as url:
        document = insistent(url)
        there = [str(document), "--url", url]
        short = ["--phases", "examples,coverage,fuzzing"]
        everything = judge("everything", *there, [*short, *bearer("everything")], CALLER_SECONDS, asked.seed)
        # Without credentials nothing but what the document says of 401 is to be seen, so that no check of credentials is made.
        unknown = [*short, "--exclude-checks", "ignored_auth"]
        nobody = judge("nobody", *there, [*unknown, *bearer("of-nobody")], CALLER_SECONDS, asked.seed)
        notifier = judge("notifier", *there, [*unknown, *bearer("notifier")], CALLER_SECONDS, asked.seed)
    failed = tell(everything, [])
    failed += tell(nobody, [f"answered somebody unknown: {operation}" for operation in accepted(nobody)])
    return failed + tell(
        notifier, [f"answered the notifier: {operation}" for operation in accepted(notifier) if operation not in NOTIFIERS]
    )


def insistent(url):
    """The document with tokens that are always asked for, as they are on this server: then schemathesis takes them away to see
    what happens."""
    with urllib.request.urlopen(f"{url}/openapi.json", timeout=30) as answer:
        document = json.load(answer)
    document["security"] = [{name: []} for name in document["components"]["securitySchemes"]]
    path = REPORTS / "insistent.json"
    path.write_text(json.dumps(document))
    return path


def judge(name, *arguments):
    """Runs schemathesis; gives the run's name, its exit code and its report."""
    *there, options, seconds, seed = arguments
    command = [sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", ROOT / "tests/python/schemathesis.toml"]
    command += ["run", *there, "--seed", str(seed), "--max-time", str(seconds), *options]
    # What is sent holds no secrets, and a request that is shown has to be one that can be sent again.
    command += ["--output-sanitize", "false"]
    command += ["--continue-on-failure", "--generation-database", "none", "--suppress-health-check", "all", "--warnings", "off"]
    command += ["--report", "json,junit", "--report-json-path", REPORTS / f"{name}.json"]
    command += ["--report-junit-path", REPORTS / f"{name}.xml"]
    report, output = REPORTS / f"{name}.json", REPORTS / f"{name}.txt"
    report.unlink(missing_ok=True)
    with open(output, "w") as out:
        try:
            done = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, cwd=REPORTS, timeout=seconds + LATE_SECONDS)
        except subprocess.TimeoutExpired as late:
            raise Failed(f"schemathesis did not end in time; {output} has what it said") from late
    if not report.exists():
        raise Failed(f"schemathesis made no report; it said:\n{output.read_text()[-4_000:]}")
    return name, done.returncode, json.loads(report.read_text()), seed


def tell(run, more):
    """One line of a run, and all that was wrong with it; gives how many things were."""
    name, code, report, seed = run
    cases, operations = report["test_cases"], report["operations"]
    failures = cases["unique_failures"] + cases["errored"] + len(report["errors"])
    if code == 0 and not failures and not more and operations["tested"] == operations["total"] > 0:
        print(f"rest-checks: {name}: {cases['generated']} cases for {operations['tested']} operations, nothing wrong (seed {seed})")
        return 0
    text = (REPORTS / f"{name}.txt").read_text()
    begin = next((text.index(mark) for mark in ("= ERRORS =", "= FAILURES =", "= SUMMARY =") if mark in text), 0)
    lines = text[text.rfind("\n", 0, begin) + 1 :].splitlines()
    print("\n".join(lines[:LINES_MAX]), file=sys.stderr)
    if len(lines) > LINES_MAX:
        print(f"… {len(lines) - LINES_MAX} lines more in {REPORTS / name}.txt", file=sys.stderr)
    for line in more:
        print(f"rest-checks: {name}: {line}", file=sys.stderr)
    if operations["tested"] != operations["total"]:
        print(f"rest-checks: {name}: {operations['tested']} of {operations['total']} operations were tested", file=sys.stderr)
    print(
        f"rest-checks: {name}: FAILED: {failures} different failures, of {cases['generated']} cases (seed {seed}); "
        f"{REPORTS.relative_to(ROOT)}/{name}.txt has them all, and beside it is the server's log",
        file=sys.stderr,
    )
    return max(1, failures)


def accepted(run):
    """The operations that have answered a valid request with what was asked for."""
    rates = run[2]["valid_rates"]
    return sorted(operation for operation, phases in rates.items() if any(phase["accepted"] for phase in phases.values()))


def refused_only(run):
    """A run in which hardly anything succeeds has tested hardly anything."""
    return [] if accepted(run) else ["no operation has ever succeeded"]


def bearer(token):
    return ["--header", f"Authorization: Bearer {token}"]


def sha256(token):
    return hashlib.sha256(token.encode()).hexdigest()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failed, OSError) as failure:
        sys.exit(f"rest-checks: FAILED: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
