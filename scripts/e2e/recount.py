"""Every figure that the internal API tells of a service and of the platform, as a slow recount of the rows has it."""

import collections
import datetime
import json
import os
import subprocess

DELIVERED = {"delivered", "sent"}
FAILED = {"temporary-failure", "permanent-failure", "technical-failure"}
PROVIDERS = {"mmg": "sms", "firetext": "sms", "smtp": "email"}

# One statement, so one snapshot.
RECOUNT = """
SELECT json_build_object('today', (now() AT TIME ZONE 'Europe/London')::date, 'groups', (
  SELECT coalesce(json_agg(counted), '[]') FROM (
    SELECT service_id AS service, (created_at AT TIME ZONE 'Europe/London')::date AS day, template_id AS template, channel, key_type,
      status, sent_by AS provider, count(*) AS count, sum(billable_units) AS units,
      to_char(max(created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS last
    FROM notifications WHERE created_at > now() - interval '8 days' GROUP BY 1, 2, 3, 4, 5, 6, 7) AS counted))
"""


def sql(statement):
    done = subprocess.run([os.environ["PSQL"], "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", os.environ["DATABASE_URL"], "-c", statement],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return done.stdout.strip()


class Recount:
    def __init__(self, service):
        counted = json.loads(sql(RECOUNT))
        self.today = counted["today"]
        self.everything = counted["groups"]
        self.groups = [group for group in self.everything if group["service"] == service and group["key_type"] != "test"]

    @property
    def todays(self):
        return [group for group in self.everything if group["day"] == self.today]


# What an answer says, and what the recount says, both as {name: number or time}. Names of what may also fall, while messages are
# on their way, begin with "~".

def counts(groups, name):
    def total(statuses=None):
        return sum(group["count"] for group in groups if statuses is None or group["status"] in statuses)

    return {f"{name} requested": total(), f"{name} delivered": total(DELIVERED), f"{name} failed": total(FAILED)}


def of_channels(groups):
    found = {}
    for channel in ("sms", "email", "letter"):
        found.update(counts([group for group in groups if group["channel"] == channel], channel))
    return found


def read_channels(statistics):
    return {f"{channel} {name}": count for channel, counted in statistics.items() for name, count in counted.items()}


def by_status(groups, *names):
    """Sums by names and status, and over all statuses."""
    found = collections.Counter()
    for group in groups:
        key = " ".join(group[name] for name in names)
        moving = group["status"] not in DELIVERED | FAILED
        found[f"{'~' if moving else ''}{key} {group['status']}"] += group["count"]
        found[f"{key} together"] += group["count"]
    return dict(found)


def read_by_status(rows):
    """`rows`: of key, status, count."""
    found = collections.Counter()
    for key, status, count in rows:
        moving = status not in DELIVERED | FAILED
        found[f"{'~' if moving else ''}{key} {status}"] += count
        found[f"{key} together"] += count
    return dict(found)


def by_month(groups):
    return by_status([{**group, "month": group["day"][:7]} for group in groups], "month", "channel")


def read_months(answer):
    return read_by_status((f"{month} {channel}", status, count) for month, channels in answer["data"].items()
                          for channel, statuses in channels.items() for status, count in statuses.items())


def templates_by_month(groups):
    found = collections.Counter()
    for group in groups:
        found[f"{group['day'][:7]} {group['template']}"] += group["count"]
    return dict(found)


def read_templates_by_month(answer):
    return {f"{row['year']}-{row['month']:02} {row['template_id']}": row["count"] for row in answer["stats"]}


def read_templates(answer):
    return read_by_status((row["template_id"], row["status"], row["count"]) for row in answer["data"])


def of_providers(groups):
    found = {}
    for provider in PROVIDERS:
        carried = [group for group in groups if group["provider"] == provider]
        found.update(counts(carried, provider))
        found[f"{provider} billable_units"] = sum(group["units"] for group in carried)
    return found


def read_providers(answer):
    return {f"{row['provider']} {name}": row[name] for row in answer["data"]
            for name in ("requested", "delivered", "failed", "billable_units")}


def of_platform(groups):
    found = {}
    for channel in ("sms", "email", "letter"):
        ours = [group for group in groups if group["channel"] == channel]
        found[f"{channel} total"] = sum(group["count"] for group in ours if group["key_type"] != "test")
        found[f"{channel} test-key"] = sum(group["count"] for group in ours if group["key_type"] == "test")
        for status in FAILED | {"virus-scan-failed"}:
            failed = [group["count"] for group in ours if group["key_type"] != "test" and group["status"] == status]
            found[f"{channel} {status}"] = sum(failed)
    return found


def read_platform(answer):
    found = {}
    for channel, told in answer.items():
        found.update({f"{channel} total": told["total"], f"{channel} test-key": told["test-key"]})
        found.update({f"{channel} {status}": count for status, count in told["failures"].items()})
    return found


def all_services(groups):
    """With test keys, as upstream."""
    found = {}
    for service in {group["service"] for group in groups}:
        ours = of_channels([group for group in groups if group["service"] == service])
        found.update({f"{service} {name}": count for name, count in ours.items()})
    return found


def read_all_services(answer):
    found = {}
    for row in answer["data"]:
        if row["notification_type"] is not None:
            found.update({f"{row['id']} {name}": count for name, count in read_channels(row["statistics"]).items()})
    return found


def last_used(groups, template=None):
    return {"last": max((group["last"] for group in groups if template in (None, group["template"])), default="")}


def questions(service, templates, today):
    """Name, path, how to read the answer, and the same from a recount."""
    day = datetime.date.fromisoformat(today)
    year = day.year - (day.month < 4)
    of = f"/service/{service}"
    asked = [
        ("today", f"{of}?detailed=True&today_only=True", lambda a: read_channels(a["data"]["statistics"]), lambda r: of_channels(r.groups)),
        ("7 days", f"{of}?detailed=True", lambda a: read_channels(a["data"]["statistics"]), lambda r: of_channels(r.groups)),
        ("statistics", f"{of}/statistics?limit_days=7", lambda a: read_channels(a["data"]), lambda r: of_channels(r.groups)),
        ("statistics of today", f"{of}/statistics?today_only=True", lambda a: read_channels(a["data"]), lambda r: of_channels(r.groups)),
        ("all services", "/service?detailed=True", read_all_services, lambda r: all_services(r.todays)),
        ("monthly", f"{of}/notifications/monthly?year={year}", read_months, lambda r: by_month(r.groups)),
        ("template usage monthly", f"{of}/notifications/templates_usage/monthly?year={year}", read_templates_by_month,
         lambda r: templates_by_month(r.groups)),
        ("count", f"{of}/notifications/count", lambda a: a, lambda r: {"notifications_sent_count": sum(g["count"] for g in r.groups)}),
        ("count of texts", f"{of}/notifications/count?limit_days=7&template_type=sms", lambda a: a,
         lambda r: {"notifications_sent_count": sum(g["count"] for g in r.groups if g["channel"] == "sms")}),
        ("templates", f"{of}/template-statistics?whole_days=7", read_templates, lambda r: by_status(r.groups, "template")),
        ("most recently used", f"{of}/template-statistics/most-recently-used",
         lambda a: {"last": (a["data"] or {}).get("last_date_used", "")}, lambda r: last_used(r.groups)),
        ("providers of the service", f"{of}/provider-statistics", read_providers, lambda r: of_providers(r.groups)),
        ("providers", "/provider-statistics", read_providers,
         lambda r: of_providers([g for g in r.todays if g["key_type"] != "test"])),
        ("platform", "/platform-stats", read_platform, lambda r: of_platform(r.todays)),
    ]
    for name, template in templates.items():
        asked.append((f"last use of {name}", f"{of}/template-statistics/last-used/{template}",
                      lambda a: {"last": a["last_date_used"] or ""}, lambda r, template=template: last_used(r.groups, template)))
    return asked
