"""A service made and run through the internal API alone; its figures, and the platform's, against a recount of the rows.

Takes everything from the environment (`. .pillarbox/env`), and PSQL. Prints a line per check; exits with 1 if any failed.
"""

import itertools
import json
import os
import sys
import threading
import time
import uuid

import recount
from recount import Recount, sql
from sender import Caller, internal_client

API = os.environ["NOTIFY_API_URL"]
CLIENT, SECRET = internal_client(os.environ, "notify-admin")
RUN = uuid.uuid4().hex[:12]
CLIENTS = 4
SENDING_SECONDS = 10
ROUNDS_AT_LEAST = 2
SETTLED_WITHIN_SECONDS = 120
REVOKED_WITHIN_SECONDS = 2
RECIPIENTS = {
    "sms": ("07700900855", "07700900003", "07700900002", "+1 202 555 0104"),
    "email": ("rosa@example.com", "temp-fail@simulator.notify", "perm-fail@simulator.notify"),
}

failed = 0


def check(what, holds, why=""):
    global failed
    failed += not holds
    print(f"{'ok    ' if holds else 'FAILED'} {what}{'' if holds else f': {why}'}", flush=True)


class Admin:
    def __init__(self, user=None):
        self.caller, self.headers = Caller(API, CLIENT, SECRET), {"X-Notify-User-Id": user} if user else {}

    def get(self, path, expected=200):
        return self._read("GET", path, expected, self.caller.get(path, **self.headers))

    def post(self, path, body=None, expected=201):
        return self._read("POST", path, expected, self.caller.post(path, body, **self.headers))

    @staticmethod
    def _read(method, path, expected, answer):
        status, content = answer
        if status != expected:
            raise SystemExit(f"FAILED {method} {path}: {status} {content[:500]!r}, expected {expected}")
        return json.loads(content) if content else None


class Made:
    """A service with a person, templates and keys."""

    def __init__(self):
        self.user = Admin().post("/user", {"name": "Ada", "email_address": f"ada-{RUN}@example.com"})["data"]["id"]
        self.admin = Admin(self.user)
        many = 10_000_000
        body = {"name": f"Figures {RUN}", "user_id": self.user, "created_by": self.user, "restricted": False, "rate_limit": many,
                "email_message_limit": many, "sms_message_limit": many, "letter_message_limit": many,
                "international_sms_message_limit": many}
        self.id = self.admin.post("/service", body)["data"]["id"]
        self.templates = {name: self._template(name, channel) for name, channel in
                          (("Reminder", "sms"), ("Code", "sms"), ("Newsletter", "email"), ("Unused", "email"), ("Tried", "sms"))}
        self.keys = {key_type: self._key(key_type) for key_type in ("normal", "team", "test")}

    def _template(self, name, channel):
        body = {"name": name, "template_type": channel, "content": "Dear ((name))", "service": self.id, "created_by": self.user,
                **({"subject": "News"} if channel == "email" else {})}
        return self.admin.post(f"/service/{self.id}/template", body)["data"]["id"]

    def _key(self, key_type):
        body = {"name": f"{key_type} key", "created_by": self.user, "key_type": key_type}
        return self.admin.post(f"/service/{self.id}/api-key", body)["data"]


class Sending:
    """Clients that send with every key, template and recipient in turn, until they are stopped."""

    def __init__(self, made):
        combinations = [(key, name, channel, recipient)
                        for name, channel in (("Reminder", "sms"), ("Code", "sms"), ("Newsletter", "email"))
                        for recipient in RECIPIENTS[channel] for key in made.keys if key != "team"]
        # A live service's team key reaches its team only.
        combinations += [("team", "Newsletter", "email", f"ada-{RUN}@example.com")] * 3
        # Only ever tried out: it was never used.
        combinations += [("test", "Tried", "sms", RECIPIENTS["sms"][0])]
        self.made, self.turns = made, itertools.cycle(combinations)
        self.lock, self.stopped = threading.Lock(), threading.Event()
        self.sent, self.refused = [], []
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        callers = {key: Caller(API, self.made.id, secret) for key, secret in self.made.keys.items()}
        while not self.stopped.is_set():
            with self.lock:
                key, name, channel, recipient = next(self.turns)
            address = {"sms": "phone_number", "email": "email_address"}[channel]
            body = {address: recipient, "template_id": self.made.templates[name], "personalisation": {"name": "Rosa"}, "reference": RUN}
            status, content = callers[key].post(f"/v2/notifications/{channel}", body)
            if status == 201:
                self.sent.append(key)
            else:
                self.refused.append((key, recipient, status, content[:300]))

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


def ask(made, question):
    """The answer between two recounts of the same day."""
    _, path, read, expected = question
    while True:
        before, answer, after = Recount(made.id), made.admin.get(path), Recount(made.id)
        if before.today == after.today:
            return expected(before), read(answer), expected(after)


def outside(before, found, after):
    """What is not between. What may also fall is only looked at when everything has settled."""
    names = {name for name in {*before, *found, *after} if not name.startswith("~")}
    lacking = "" if "last" in names else 0
    triples = {name: [figures.get(name, lacking) for figures in (before, found, after)] for name in names}
    return {name: triple for name, triple in triples.items() if not triple[0] <= triple[1] <= triple[2]}


def while_sending(made):
    sending = Sending(made)
    wrong, looked_at, grew = {}, 0, 0
    deadline = time.monotonic() + SENDING_SECONDS
    rounds = 0
    while time.monotonic() < deadline or rounds < ROUNDS_AT_LEAST:
        for question in recount.questions(made.id, made.templates, Recount(made.id).today):
            before, found, after = ask(made, question)
            looked_at += len(found)
            grew += before != after
            if out := outside(before, found, after):
                wrong.setdefault(question[0], out)
        rounds += 1
    sending.stop()
    check(f"{CLIENTS} clients sent {len(sending.sent)} with all three types of key meanwhile",
          set(sending.sent) == set(made.keys) and not sending.refused, sending.refused[:3])
    check(f"{looked_at} figures were between two recounts while they were sending, {rounds} times around", not wrong, wrong)
    check(f"the rows grew between the two recounts of {grew} answers", grew > 0)
    return sending


def settled(made):
    deadline = time.monotonic() + SETTLED_WITHIN_SECONDS
    query = f"SELECT count(*) FROM notifications WHERE service_id = '{made.id}' AND status IN ('created', 'sending', 'pending')"
    while left := int(sql(query)):
        if time.monotonic() > deadline:
            # International texts stay pending or sending without a receipt; figures must hold all the same.
            print(f"       {left} are still on their way")
            break
        time.sleep(0.5)
    for question in recount.questions(made.id, made.templates, Recount(made.id).today):
        before, found, after = ask(made, question)
        same = {name: figure for name, figure in found.items() if figure} == {name: figure for name, figure in after.items() if figure}
        check(f"once settled: {question[0]}", same or before != after, f"{found} instead of {after}")


def template_names(made):
    of = f"/service/{made.id}"
    used = {row["template_id"] for row in made.admin.get(f"{of}/template-statistics?whole_days=7")["data"]}
    names = {name for name, template in made.templates.items() if template in used}
    check("what was only tried with the test key, or never, is in no template's usage", names == {"Reminder", "Code", "Newsletter"}, names)
    for name in ("Tried", "Unused"):
        last = made.admin.get(f"{of}/template-statistics/last-used/{made.templates[name]}")
        check(f"{name} was never used", last == {"last_date_used": None}, last)


def listed(made, query):
    """Every page of the log."""
    found = []
    for page in itertools.count(1):
        answer = made.admin.get(f"/service/{made.id}/notifications?page={page}&page_size=250{query}")
        found += [(row["id"], row["key_type"]) for row in answer["notifications"]]
        if not answer["links"].get("next"):
            return found


def log(made, sending):
    def sent(*keys):
        return sum(key in keys for key in sending.sent)

    one_off = made.admin.post(f"/service/{made.id}/send-notification", {
        "template_id": made.templates["Code"], "to": RECIPIENTS["sms"][0], "personalisation": {"name": "Rosa"}, "created_by": made.user})
    everything = listed(made, "&include_from_test_key=True")
    check("the log has everything once", len({row[0] for row in everything}) == len(everything) == len(sending.sent) + 1, len(everything))
    default = listed(made, "")
    check("the log has nothing of the test key by default",
          len(default) == sent("normal", "team") + 1 and {row[1] for row in default} == {"normal", "team"}, len(default))
    check("the one-off message is in it", one_off["id"] in {row[0] for row in default})
    by_key = listed(made, "&include_jobs=False")
    check("include_jobs=False shows what keys made", one_off["id"] not in {row[0] for row in by_key}
          and len(by_key) == sent("normal", "team"), len(by_key))
    for status in ("failed", "delivered", "permanent-failure"):
        words = "'" + "', '".join(recount.FAILED if status == "failed" else {status}) + "'"
        expected = int(sql(f"SELECT count(*) FROM notifications WHERE service_id = '{made.id}' AND key_type <> 'test' "
                           f"AND status IN ({words})"))
        found = len(listed(made, f"&status={status}"))
        check(f"the log with status={status} has {expected}", found == expected > 0, found)
    for key, secret in made.keys.items():
        status, content = Caller(API, made.id, secret).get(f"/v2/notifications?reference={RUN}")
        own = {row["id"] for row in json.loads(content)["notifications"]}
        types = {key_type for row, key_type in everything if row in own}
        check(f"the public list shows the {key} key only its own type", status == 200 and types == {key}, types)


def revoked(made):
    keys = made.admin.get(f"/service/{made.id}/api-keys")["apiKeys"]
    for key in keys:
        made.admin.post(f"/service/{made.id}/api-key/revoke/{key['id']}", expected=202)
        caller = Caller(API, made.id, made.keys[key["key_type"]])
        since = time.monotonic()
        while (status := caller.get("/v2/notifications")[0]) == 200 and time.monotonic() - since < REVOKED_WITHIN_SECONDS + 1:
            time.sleep(0.05)
        took = time.monotonic() - since
        check(f"the {key['key_type']} key is refused {took:.1f} s after it was revoked", status == 403 and took <= REVOKED_WITHIN_SECONDS, status)


def main():
    made = Made()
    sending = while_sending(made)
    settled(made)
    template_names(made)
    log(made, sending)
    revoked(made)
    print(f"{failed} failed" if failed else "the internal API holds")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
