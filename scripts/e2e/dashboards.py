"""Calls every dashboard and the first page of the log, one caller on one connection, and says how long they take."""

import argparse
import datetime
import json
import os
import subprocess
import sys
import time

from sender import Caller, internal_client

LIMIT_MS = 20
WARM_UP_CALLS = 10
FOLDED_WITHIN_SECONDS = 120


def calls(service, template):
    today = datetime.date.today()
    year = today.year - (today.month < 4)
    week_ago = today - datetime.timedelta(days=7)
    of = f"/service/{service}"
    log = f"{of}/notifications"
    return [
        ("service, today", f"{of}?detailed=True&today_only=True"),
        ("service, 7 days", f"{of}?detailed=True"),
        ("statistics, today", f"{of}/statistics?today_only=True"),
        ("statistics, 7 days", f"{of}/statistics?limit_days=7"),
        ("statistics, 90 days", f"{of}/statistics?limit_days=90"),
        ("all services, today", "/service?detailed=True"),
        ("all services, 7 days", f"/service?detailed=True&start_date={week_ago}&end_date={today}"),
        ("monthly, this year", f"{log}/monthly?year={year}"),
        ("monthly, last year", f"{log}/monthly?year={year - 1}"),
        ("templates by month", f"{log}/templates_usage/monthly?year={year}"),
        ("count, ever", f"{log}/count"),
        ("count, 7 days of texts", f"{log}/count?limit_days=7&template_type=sms"),
        ("templates, 7 days", f"{of}/template-statistics?whole_days=7"),
        ("templates, today", f"{of}/template-statistics?whole_days=0"),
        ("template, last used", f"{of}/template-statistics/last-used/{template}"),
        ("most recently used", f"{of}/template-statistics/most-recently-used"),
        ("providers of service", f"{of}/provider-statistics"),
        ("providers, platform", "/provider-statistics"),
        ("platform, today", "/platform-stats"),
        ("platform, 7 days", f"/platform-stats?start_date={week_ago}&end_date={today}"),
        ("log", log),
        ("log, no jobs", f"{log}?include_jobs=False"),
        ("log, with test key", f"{log}?include_from_test_key=True"),
        ("log, technical-failure", f"{log}?status=technical-failure"),
        ("log, failed", f"{log}?status=failed"),
        ("log, pending", f"{log}?status=pending"),
        ("log, created", f"{log}?status=created"),
        ("log, sending", f"{log}?status=sending"),
        ("log, delivered", f"{log}?status=delivered"),
        ("log, texts", f"{log}?template_type=sms"),
        ("log, e-mails failed", f"{log}?template_type=email&status=permanent-failure"),
        ("log, 7 days", f"{log}?limit_days=7"),
    ]


def sql(psql, statement):
    done = subprocess.run([psql, "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", os.environ["DATABASE_URL"], "-c", statement],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def await_folded(psql):
    """Filling leaves more to fold at once than a day of sending does between two turns of the scheduler."""
    deadline = time.monotonic() + FOLDED_WITHIN_SECONDS
    while int(sql(psql, "SELECT count(*) FROM statistics_deltas")):
        if time.monotonic() > deadline:
            sys.exit(f"the scheduler did not fold within {FOLDED_WITHIN_SECONDS} s")
        time.sleep(0.5)


def measure(caller, path, count):
    """Milliseconds, sorted, and what the last answer says."""
    took = []
    for number in range(-WARM_UP_CALLS, count):
        started = time.perf_counter()
        status, content = caller.get(path)
        if number >= 0:
            took.append((time.perf_counter() - started) * 1000)
        if status != 200:
            sys.exit(f"{path}: {status} {content[:300]!r}")
    return sorted(took), json.loads(content)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--psql", required=True)
    options = parser.parse_args()
    await_folded(options.psql)
    caller = Caller(os.environ["NOTIFY_API_URL"], *internal_client(os.environ, "dashboards"))
    rows = sql(options.psql, "SELECT to_char(sum(count), 'FM999,999,999,999') FROM figures_by_month "
                             f"WHERE service_id = '{os.environ['BUSY_SERVICE_ID']}'")
    partitions = sql(options.psql, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'notifications'::regclass")
    stored = sql(options.psql, "SELECT to_char(sum(reltuples), 'FM999,999,999,999') FROM pg_class JOIN pg_inherits ON inhrelid = oid "
                               "WHERE inhparent = 'notifications'::regclass AND reltuples > 0")
    print(f"about {stored} notifications in {partitions} partitions, {os.environ['DATABASE_MB']} MB; "
          f"{rows} in the figures of the busy service; {options.calls} calls of each, in ms")
    print(f"{'':24} {'p50':>7} {'p95':>7} {'max':>7}   rows")
    slow = []
    for name, path in calls(os.environ["BUSY_SERVICE_ID"], os.environ["BUSY_TEMPLATE_ID"]):
        took, answer = measure(caller, path, options.calls)
        p50, p95 = (took[min(len(took) - 1, len(took) * share // 100)] for share in (50, 95))
        listed = next((answer[key] for key in ("notifications", "data", "stats") if key in answer), answer)
        print(f"{name:24} {p50:7.1f} {p95:7.1f} {took[-1]:7.1f}   {len(listed)}{'' if p95 < LIMIT_MS else '   TOO SLOW'}", flush=True)
        if p95 >= LIMIT_MS:
            slow.append(name)
    print(f"above {LIMIT_MS} ms at the 95th percentile: {', '.join(slow)}" if slow else
          f"all below {LIMIT_MS} ms at the 95th percentile")
    sys.exit(bool(slow))


if __name__ == "__main__":
    main()
