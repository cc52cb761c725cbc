"""What must hold whatever dies: real processes are killed, stopped and hammered while notifications are in flight.

Called by scripts/crashes, which tells how. Prints a line per scenario with its figures; ends with 1 when something did not hold.
"""

import collections
import concurrent.futures
import http.client
import json
import random
import shutil
import signal
import threading
import time
import urllib.error
import urllib.request
import uuid

from scenarios import main, scenario
from sender import Caller, Sender, internal_client, sign, split_key
from stack import require, until

IN_FLIGHT_WITHIN_SECONDS = 120
# The slowest answer while something is away: shorter than the clients' own patience.
ANSWERED_WITHIN_SECONDS = 15
# What an api had accepted and not published when it was killed: no message is waited for longer than five seconds where none
# waits in the queue. The rest is the sweep's turn, RabbitMQ that was held up, and slow machines.
UNPUBLISHED_WITHIN_SECONDS = 15
# A notification that was on its way for longer was not found by its own wake-up, but by the sweep.
SWEPT_AFTER_SECONDS = 20
# What a replica that stands still in a transaction costs the others, and how soon another scheduler leads.
HELD_UP_SECONDS = 6
LED_WITHIN_SECONDS = 20


class Scale:
    """How much of everything."""

    def __init__(self, quick):
        self.in_flight = 1000 if quick else 2000
        self.outage_seconds = 15 if quick else 30
        self.hammered = 500 if quick else 1000
        self.kills = 3 if quick else 6


def finish(stack, sender, may_be_doubled=frozenset()):
    """Everything that was answered with 201 is delivered, everything that was stored is, and nobody got anything twice but what
    somebody had in hand when it died. Answers the figures."""
    audit = stack.settle()
    rows = [line.split("|") for line in stack.sql("select id, status, channel from notifications")]
    statuses = {notification: status for notification, status, _ in rows}
    channels = {notification: channel for notification, _, channel in rows}
    lost = set(sender.accepted) - statuses.keys()
    require(not lost, f"{len(lost)} of {len(sender.accepted)} were answered with 201 and are not stored: {some(lost)}")
    by_status = collections.Counter(statuses.values())
    require(by_status.keys() == {"delivered"}, f"not all are delivered: {dict(by_status)}")
    require(audit["accepted"] == len(statuses), f"the audit counts {audit['accepted']}, stored are {len(statuses)}")
    require_true_figures(stack)

    taken = stack.taken_by_providers()
    missed = statuses.keys() ^ taken.keys()
    require(not missed, f"{len(missed)} are delivered without a provider, or the other way about: {some(missed)}")
    doubled = {notification for notification, times in taken.items() if times > 1}
    unexplained = doubled - may_be_doubled
    require(not unexplained, f"{len(unexplained)} were sent twice though nobody had them in hand: {some(unexplained)}")
    require(stack.counts()["duplicates"] == len(doubled), "the simulator's own count of duplicates is another")

    swept = stack.sql("select count(*) from notifications"
                      f" where sent_at > created_at + interval '{SWEPT_AFTER_SECONDS} seconds'")[0]
    stack.terminate(*[name for name in stack.processes if name != "simulator"])
    stack.terminate("simulator")
    stack.require_no_panic()
    by_channel = collections.Counter(channels[notification] for notification in doubled)
    split = " ({})".format(", ".join(f"{n} {channel}" for channel, n in by_channel.items())) if doubled else ""
    figures = [f"{len(sender.accepted)} accepted", f"{by_status['delivered']} delivered", f"{len(doubled)} sent twice{split}"]
    if int(swept):
        figures.append(f"{swept} later than {SWEPT_AFTER_SECONDS} s (the sweep's)")
    if sender.failures:
        figures.append("not accepted: " + ", ".join(f"{n} × {reason}" for reason, n in sender.failures.most_common()))
    return figures


def require_true_figures(stack):
    code, _, complaint = stack.control("stats", "--check")
    require(code == 0, f"stats --check: {complaint}")


def some(ids):
    return ", ".join(sorted(ids)[:3])


def slow_providers(stack):
    """Slow enough that much is in their hands at any moment. One of each sort: MMG takes a text at once and answers late,
    Firetext forgets the text of a caller that hangs up, the mail server takes the mail in any case."""
    stack.behave(latency_ms=4000, mmg={"takes_first": True})


def fast_providers(stack):
    stack.behave(latency_ms=50, takes_first=False)


def kill_in_flight(stack, name, wanted):
    """Sends until so many are in flight, then kills. Answers the sender, what was leased at the kill, and figures."""
    slow_providers(stack)
    sender = Sender(stack.env).start()
    try:
        # A few more, since some may come home before the kill.
        until(f"{wanted} in flight", IN_FLIGHT_WITHIN_SECONDS, lambda: stack.in_flight() >= wanted * 1.05)
        stack.kill(name)
        leased, in_flight = stack.leased(), stack.in_flight()
    finally:
        sender.stop()
    require(in_flight >= wanted, f"{in_flight} in flight at the kill, not {wanted}")
    require(leased, "nothing was in anybody's hand at the kill")
    fast_providers(stack)
    return sender, leased, [f"{in_flight} in flight at the kill, {len(leased)} of them leased"]


@scenario("1", "worker killed and started again")
def worker_killed(stack, scale):
    stack.start_all()
    sender, leased, figures = kill_in_flight(stack, "delivery-worker", scale.in_flight)
    stack.start_worker()
    return figures + finish(stack, sender, leased)


@scenario("3", "one of two workers killed")
def one_of_two_workers_killed(stack, scale):
    stack.start_all(workers=2)
    sender, leased, figures = kill_in_flight(stack, "delivery-worker", scale.in_flight)
    return figures + finish(stack, sender, leased)


def broker_away(stack, scale, end):
    """The API answers 201 all the time, and nothing is sent twice: nobody dies."""
    stack.start_all()
    stack.behave(latency_ms=500)
    sender = Sender(stack.env, rate=scale.in_flight / (scale.outage_seconds + 10)).start()
    try:
        time.sleep(3)
        end()
        time.sleep(scale.outage_seconds)
        during = len(sender.accepted)
        stack.services.start("rabbitmq")
        time.sleep(3)
    finally:
        sender.stop()
    require(not sender.failures, f"while the broker was away not every request was answered with 201: {dict(sender.failures)}")
    require(sender.slowest < ANSWERED_WITHIN_SECONDS, f"the slowest answer took {sender.slowest:.1f} s")
    return [f"{during} by the end of the outage, slowest answer {sender.slowest:.2f} s"] + finish(stack, sender)


@scenario("2a", "RabbitMQ stopped", needs=["rabbitmq"])
def broker_stopped(stack, scale):
    return broker_away(stack, scale, lambda: stack.services.end("rabbitmq", signal.SIGTERM))


@scenario("2b", "RabbitMQ killed, its data wiped", needs=["rabbitmq"])
def broker_wiped(stack, scale):
    def end():
        stack.services.end("rabbitmq", signal.SIGKILL)
        shutil.rmtree(stack.services.state / "rabbitmq" / "mnesia")

    return broker_away(stack, scale, end)


@scenario("4", "two workers and the delivery endpoint on the same ids")
def hammered(stack, scale):
    """The workers are stopped while the notifications are made, so that all of it begins at once."""
    latency, workers = 0.5, ["delivery-worker", "delivery-worker-2"]
    stack.start_simulator()
    stack.start_api()
    stack.start_scheduler()
    for worker in workers:
        # Slow enough that the endpoint gets its share.
        stack.start_worker(worker, PILLARBOX__WORKER__SMS_IN_FLIGHT="25", PILLARBOX__WORKER__EMAIL_IN_FLIGHT="25")
    stack.behave(latency_ms=int(latency * 1000))
    for worker in workers:
        stack.signal(worker, signal.SIGSTOP)
    sender = Sender(stack.env, quota=scale.hammered).start().wait()
    require(len(sender.accepted) == scale.hammered and not stack.leased(), f"not all accepted: {dict(sender.failures)}")

    posts = [notification for notification in sender.accepted for _ in range(4)]
    random.shuffle(posts)
    threads = 48
    tallies = [collections.Counter() for _ in range(threads)]
    hammers = [threading.Thread(target=hammer, args=(stack.env, posts[n::threads], tallies[n], latency), daemon=True)
               for n in range(threads)]
    for worker in workers:
        stack.signal(worker, signal.SIGCONT)
    for thread in hammers:
        thread.start()
    for thread in hammers:
        thread.join()
    answers = sum(tallies, collections.Counter())
    by_request = answers.pop("slow", 0)
    require(answers == {204: len(posts)}, f"every delivery by request must end in 204: {dict(answers)}")
    stack.settle()
    counts = stack.counts()
    calls = sum(counts[provider]["calls"] for provider in ("mmg", "firetext", "email"))
    require(calls == scale.hammered, f"{calls} calls to providers for {scale.hammered} notifications")
    require(0 < by_request < scale.hammered, f"{by_request} of {scale.hammered} delivered by request: not both took part")
    return [f"{len(posts)} posts, {calls} calls to providers, {by_request} of them by request"] + finish(stack, sender)


def hammer(env, ids, tally, latency):
    """A post that took as long as a provider does has delivered; those that found somebody else at it are quick."""
    caller = Caller(env["NOTIFY_API_URL"], *internal_client(env, "deliverer"))
    for notification in ids:
        asked = time.monotonic()
        try:
            reason = caller.post(f"/deliver/notification/{notification}")[0]
        except (OSError, http.client.HTTPException) as error:
            reason = type(error).__name__
        tally["slow"] += time.monotonic() - asked >= latency
        tally[reason] += 1
    caller.close()


@scenario("5", "Postgres stopped at once (immediate) and started, twice", needs=["postgres"])
def database_restarted(stack, scale):
    stack.start_all()
    stack.behave(latency_ms=200)
    sender = Sender(stack.env).start()
    try:
        for away in (0, 5):
            time.sleep(4)
            stack.services.end("postgres", signal.SIGQUIT)
            time.sleep(away)
            before = len(sender.accepted)
            stack.services.start("postgres")
            until("accepting again", 30, lambda: len(sender.accepted) > before + 50)
    finally:
        sender.stop()
    return finish(stack, sender)


@scenario("6", "SIGTERM to worker and api, new ones go on")
def told_to_stop(stack, scale):
    stack.start_all()
    stack.behave(latency_ms=1500)
    sender = Sender(stack.env).start()
    try:
        until("some in flight", IN_FLIGHT_WITHIN_SECONDS, lambda: stack.in_flight() >= scale.in_flight / 4)
        took = stack.terminate("api", "delivery-worker")
        before = len(sender.accepted)
        stack.start_api()
        stack.start_worker()
        until("accepting again", 30, lambda: len(sender.accepted) > before + 50)
    finally:
        sender.stop()
    fast_providers(stack)
    return [f"both ended with 0 in {took:.1f} s"] + finish(stack, sender)


@scenario("7", "api killed between commits and publishes", needs=["rabbitmq"])
def api_killed(stack, scale):
    """Every other time the broker is held up for a moment before, so that commits are certainly ahead of their publishes."""
    stack.start_all()
    sender = Sender(stack.env).start()
    killed = []
    try:
        for kill in range(scale.kills):
            time.sleep(random.uniform(0.5, 2))
            held_up = kill % 2 == 1
            if held_up:
                stack.services.signal("rabbitmq", signal.SIGSTOP)
            try:
                time.sleep(random.uniform(0.3, 0.6) if held_up else 0)
                stack.kill("api")
                killed += stack.sql("select clock_timestamp()")
            finally:
                if held_up:
                    stack.services.signal("rabbitmq", signal.SIGCONT)
            before = len(sender.accepted)
            stack.start_api()
            until("accepting again", 30, lambda: len(sender.accepted) > before + 50)
    finally:
        sender.stop()
    figures = finish(stack, sender)
    took = [float(stack.sql(f"select extract(epoch from max(sent_at) - timestamptz '{at}') from notifications"
                            f" where created_at <= '{at}'")[0]) for at in killed]
    require(max(took) < UNPUBLISHED_WITHIN_SECONDS, f"the last one accepted before a kill was handed over after {max(took):.1f} s")
    return [f"{scale.kills} kills, the last handed over after {max(took):.1f} s"] + figures


@scenario("8", "five ways to fail to authenticate")
def authentication(stack, _):
    stack.start_simulator()
    stack.start_api()
    service, secret = split_key(stack.env["API_KEY"])
    keyless = str(uuid.uuid4())
    stack.sql("insert into services (id, name, normalised_name, restricted, email_local_part, created_at)"
              f" values ('{keyless}', 'Without keys', 'without.keys', false, 'without.keys', now())")
    code, key, complaint = stack.control("key", "create", "--service", service, "--name", "Soon revoked", "--type", "normal")
    require(code == 0, complaint)
    _, revoked = split_key(key)
    require(refusal(stack, service, revoked)[0] == 200, "a new key opens the door")
    keys = json.loads(stack.control("key", "list", "--service", service, "--json")[1])
    key_id = next(key["id"] for key in keys if key["name"] == "Soon revoked")
    require(stack.control("key", "revoke", key_id)[0] == 0, "the key cannot be revoked")
    until("the key is refused", 10, lambda: refusal(stack, service, revoked)[0] != 200)

    cases = [
        ("unknown service", (uuid.uuid4(), secret), "Invalid token: service not found"),
        ("service without keys", (keyless, secret), "Invalid token: service has no API keys"),
        ("revoked key", (service, revoked), "Invalid token: API key revoked"),
        ("wrong signature", (service, uuid.uuid4()), "Invalid token: API key not found"),
        ("stale token", (service, secret, time.time() - 60),
         "Error: Your system clock must be accurate to within 30 seconds"),
    ]
    for what, token, message in cases:
        expected = (403, {"status_code": 403, "errors": [{"error": "AuthError", "message": message}]})
        found = refusal(stack, *token)
        require(found == expected, f"{what}: {found}, expected {expected}")
    stack.terminate("api", "simulator")
    return [what for what, _, _ in cases]


def refusal(stack, issuer, secret, at=None):
    headers = {"Authorization": f"Bearer {sign(str(issuer), str(secret), at)}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{stack.env['NOTIFY_API_URL']}/v2/notifications", headers=headers),
                                    timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@scenario("9", "two api replicas: 100 requests for 50 a day, and one request 50 times")
def replicas(stack, _):
    stack.start_all()
    urls = [stack.env["NOTIFY_API_URL"], stack.start_another_api()]
    service, secret = split_key(stack.env["API_KEY"])

    def at_once(count, channel, recipient, **headers):
        """Status and body of as many answers, asked for at the same moment at both in turn."""
        body = {**recipient, "template_id": stack.env[f"{channel.upper()}_TEMPLATE_ID"], "personalisation": {"name": "Rosa"}}
        gate = threading.Barrier(count)

        def ask(number):
            caller = Caller(urls[number % len(urls)], service, secret)
            gate.wait()
            answer = caller.post(f"/v2/notifications/{channel}", body, **headers)
            caller.close()
            return answer

        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            return list(pool.map(ask, range(count)))

    text = {"phone_number": stack.env["FUNCTIONAL_TEST_NUMBER"]}
    same = {"Idempotency-Key": "order-17"}
    answers = at_once(50, "sms", text, **same)
    require({status for status, _ in answers} <= {201, 409}, f"answers: {collections.Counter(s for s, _ in answers)}")
    bodies = {body for status, body in answers if status == 201}
    require(len(bodies) == 1, f"{len(bodies)} answers to one request")
    stack.kill("api")
    urls.pop(0)
    require(at_once(1, "sms", text, **same) == [(201, bodies.pop())], "another answer after a crash")
    stack.start_api()
    urls.insert(0, stack.env["NOTIFY_API_URL"])

    stack.sql(f"update services set email_message_limit = 50 where id = '{service}'")
    # Replicas remember services for two seconds.
    time.sleep(2.5)
    mail = {"email_address": stack.env["FUNCTIONAL_TEST_EMAIL"]}
    statuses = collections.Counter(status for status, _ in at_once(100, "email", mail))
    require(statuses == {201: 50, 429: 50}, f"100 for 50 a day: {dict(statuses)}")

    audit = stack.settle()
    require(audit["accepted"] == 51, f"one text and 50 e-mails were accepted: {audit}")
    require_true_figures(stack)
    taken = stack.taken_by_providers()
    require(sum(taken.values()) == len(taken) == 51, f"providers took {sum(taken.values())} of {len(taken)}")
    stack.require_no_panic()
    conflicts = sum(status == 409 for status, _ in answers)
    return ["100 at once: 50 accepted, 50 refused", f"one request 50 times: 1 text ({conflicts} answered 409)"]


class Senders:
    """Several, as one."""

    def __init__(self, *senders):
        self.senders = [sender.start() for sender in senders]

    def stop(self):
        for sender in self.senders:
            sender.stopped.set()
        for sender in self.senders:
            sender.wait()

    @property
    def accepted(self):
        return [notification for sender in self.senders for notification in sender.accepted]

    @property
    def failures(self):
        return sum((sender.failures for sender in self.senders), collections.Counter())


def frozen_in_transaction(stack, name):
    """Stops that process at a moment when a transaction of it has locked what services have used."""
    def caught():
        stack.signal(name, signal.SIGSTOP)
        # One that the others have goes on within that time.
        time.sleep(0.3)
        held = stack.sql("select count(*) from pg_stat_activity as a join pg_locks as l using (pid)"
                         " where a.datname = current_database() and a.state = 'idle in transaction'"
                         " and a.state_change < now() - interval '200 milliseconds'"
                         " and l.relation = 'service_usage'::regclass and l.mode = 'RowShareLock'")[0]
        if int(held):
            return True
        stack.signal(name, signal.SIGCONT)
        return False

    until(f"{name} is caught in a transaction", 60, caught, pause=random.uniform(0.05, 0.2))


@scenario("10", "one of two api replicas frozen in a transaction, two tenants")
def api_frozen(stack, scale):
    """Both tenants send through both replicas, so that the frozen transaction holds them both. The healthy one is where providers
    post their receipts, which they would give up after some tries."""
    stack.start_all()
    to_freeze = {"NOTIFY_API_URL": stack.start_another_api()}
    tenants = [stack.env, stack.another_tenant()]
    through_frozen = [Sender({**tenant, **to_freeze}, rate=40) for tenant in tenants]
    through_healthy = [Sender(tenant, rate=40) for tenant in tenants]
    senders = Senders(*through_frozen, *through_healthy)
    try:
        until("accepting", 30, lambda: all(len(sender.accepted) > 50 for sender in senders.senders))
        frozen_in_transaction(stack, "api-2")
        frozen = time.monotonic()
        time.sleep(scale.outage_seconds)
        stack.signal("api-2", signal.SIGCONT)
        thawed = time.monotonic()
        before = [len(sender.accepted) for sender in senders.senders]
        until("accepting again", 30, lambda: all(len(s.accepted) > n + 50 for s, n in zip(senders.senders, before)))
    finally:
        stack.signal("api-2", signal.SIGCONT)
        senders.stop()
    figures = []
    for name, sender in zip(("its own", "another"), through_healthy):
        during = [(asked, took, taken) for asked, took, taken in sender.answers if frozen - 1 < asked < thawed]
        slow = percentile([took for _, took, _ in during], 99)
        require(slow < HELD_UP_SECONDS, f"{name} tenant's p99 at the healthy replica was {slow:.1f} s")
        normal = percentile([took for asked, took, _ in during if asked > frozen + HELD_UP_SECONDS], 99)
        require(normal < 1, f"{name} tenant's p99 was still {normal:.1f} s after {HELD_UP_SECONDS} s")
        times = [frozen, *sorted(asked + took for asked, took, taken in during if taken), thawed]
        pause = max(after - before for before, after in zip(times, times[1:]))
        require(pause < HELD_UP_SECONDS, f"nothing of {name} tenant was accepted for {pause:.1f} s")
        figures.append(f"{name} tenant p99 {slow:.2f} s, then {normal:.2f} s, longest pause {pause:.2f} s")
    return figures + finish(stack, senders)


def percentile(values, which):
    require(values, "nothing was answered")
    return sorted(values)[min(len(values) - 1, len(values) * which // 100)]


@scenario("11", "the leading one of two schedulers frozen, retries due")
def leader_frozen(stack, _):
    stack.start_all()
    until("the first leads", 30, lambda: stack.leads("scheduler"))
    stack.start_scheduler("scheduler-2")
    stack.behave(outage=True)
    # So few that all have failed once before the first is tried again.
    sender = Sender(stack.env, quota=100).start().wait()
    require(len(sender.accepted) == 100, f"not all accepted: {dict(sender.failures)}")
    try:
        failed = "select count(distinct notification_id) from attempts"
        until("all have failed once", 60, lambda: int(stack.sql(failed)[0]) == 100)
        stack.signal("scheduler", signal.SIGSTOP)
        frozen = stack.sql("select now()")[0]
        fast_providers(stack)
        stack.behave(outage=False)
        # Due ten seconds after the failure, at the next step of the ladder at the latest.
        until("the other one leads", LED_WITHIN_SECONDS, lambda: stack.leads("scheduler-2"))
        stack.settle()
        late = float(stack.sql(
            "select extract(epoch from max(second - greatest(due, '" + frozen + "'))) from ("
            "select min(attempted_at) + interval '10 seconds' as due, max(attempted_at) as second from attempts"
            " group by notification_id having count(*) = 2) as retried")[0])
    finally:
        stack.signal("scheduler", signal.SIGCONT)
    require(late < LED_WITHIN_SECONDS, f"a retry came {late:.1f} s late")
    until("the first knows", 30, lambda: not stack.leads("scheduler"))
    stack.behave(outage=True)
    more = Sender(stack.env, quota=50).start().wait()
    stack.behave(outage=False)
    sender.accepted += more.accepted
    return [f"the latest retry was {late:.1f} s late"] + finish(stack, sender)


if __name__ == "__main__":
    main("crashes", Scale)
