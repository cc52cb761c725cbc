"""What must hold however large what is sent: no process grows with it, and nobody else waits for it.

Called by scripts/memory, which tells how. Prints a line per scenario with its figures; ends with 1 when something did not hold.
"""

import concurrent.futures
import json
import select
import socket
import statistics
import threading
import time
import urllib.parse

from scenarios import main, scenario
from sender import Caller, Sender, split_key
from stack import require, until

# Of the worker, and of the api.
WORKER_BELOW_MB = 300
API_BELOW_MB = 200
# Half of the small requests of another service, while one has large ones.
SMALL_ANSWERED_WITHIN_SECONDS = 1
# How long clients may take no bytes here; the default is longer.
WRITE_TIMEOUT_SECONDS = 3
# From being accepted to being with a provider, for 95 of 100 messages of others.
OTHERS_WITHIN_SECONDS = 2
LARGE_DELIVERED_WITHIN_SECONDS = 600


# What relays take when asked to take much.
MAIL_LIMIT_BYTES = 32 * 1024 * 1024
# Of little else than markup: what they are taken apart into, or what is made of them, is many times their size.
HOSTILE = [[0] * 50_000, "* * *\n" * 250_000, "[" * 1_900_000, "[a](b)" * 300_000, "&" * 1_900_000, "a\n" * 650_000]


class Scale:
    """How much of everything."""

    def __init__(self, quick):
        self.large_mails = 100 if quick else 200
        self.large_requests = 50 if quick else 100


def tenant_of_large_mails(stack):
    """The environment of the first service, with a template that is nothing but a value."""
    code, user, complaint = stack.control("user", "create", "--name", "Large", "--email-address", "large@example.gov.uk")
    require(code == 0, complaint)
    code, template, complaint = stack.control(
        "template", "create", "--service", service_of(stack.env), "--user", user, "--type", "email", "--name", "Large",
        "--subject", "Much news", "--content", "((name))")
    require(code == 0, complaint)
    return {**stack.env, "EMAIL_TEMPLATE_ID": template}


def service_of(env):
    return split_key(env["API_KEY"])[0]


@scenario("worker", "mails of 1.9 MB by one tenant, texts and mails by another")
def large_mails(stack, scale):
    # The simulator takes all and keeps few of them: it is not what is measured.
    stack.start_simulator(keep=10, mail_limit=MAIL_LIMIT_BYTES)
    stack.start_api()
    stack.start_scheduler()
    # As it is usual, not as short as where something is killed: it is not the lease that is measured.
    stack.start_worker(PILLARBOX__WORKER__LEASE="60s")
    large, other = tenant_of_large_mails(stack), stack.another_tenant()
    others = Sender(other, connections=4, rate=40).start()
    try:
        send_large_mails(large, scale.large_mails)
        until("all large mails are with the relay", LARGE_DELIVERED_WITHIN_SECONDS, lambda: waiting(stack, large) == 0, pause=1)
    finally:
        others.stop()
    require(not others.failures, f"not accepted: {dict(others.failures)}")
    audit = stack.settle()
    require(audit["accepted"] == scale.large_mails + len(others.accepted), f"the audit counts {audit}")
    unsent = stack.sql("select outcome, reason, count(*) from attempts where outcome <> 'handed-over' group by 1, 2")
    require(not unsent, f"attempts that were none: {unsent[:3]}")
    counts = stack.counts()
    require(counts["duplicates"] == 0, f"{counts['duplicates']} were sent twice")
    require(counts["email"]["calls"] + counts["mmg"]["calls"] + counts["firetext"]["calls"] == audit["accepted"], f"calls: {counts}")
    waited = {channel: within(stack, other, channel) for channel in ("sms", "email")}
    for channel, seconds in waited.items():
        require(seconds < OTHERS_WITHIN_SECONDS, f"of others' {channel} messages 5 in 100 waited {seconds:.1f} s or longer")
    most = stack.most_memory("delivery-worker")
    require(most < WORKER_BELOW_MB, f"the worker grew to {most:.0f} MB")
    stack.require_no_panic()
    last = stack.sql(f"select extract(epoch from max(sent_at) - min(created_at)) from notifications where service_id = '{service_of(large)}'")
    return [f"{scale.large_mails} large ones in {float(last[0]):.0f} s", f"{len(others.accepted)} of others",
            *(f"p95 of their {channel} {seconds:.2f} s" for channel, seconds in waited.items()), f"worker {most:.0f} MB"]


def send_large_mails(env, count):
    """A few at a time; each is accepted, when the api has room for it."""
    text = "Your permit for a car is ready to collect.\n\n" * 43_000
    body = {"email_address": env["FUNCTIONAL_TEST_EMAIL"], "template_id": env["EMAIL_TEMPLATE_ID"],
            "personalisation": {"name": text[:1_900_000]}}
    callers = threading.local()

    def send(_):
        if not hasattr(callers, "own"):
            callers.own = Caller(env["NOTIFY_API_URL"], *split_key(env["API_KEY"]))
        while True:
            status, answer = callers.own.post("/v2/notifications/email", body)
            if status != 503:
                return status, answer
            time.sleep(1)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for status, answer in pool.map(send, range(count)):
            require(status == 201, f"a large mail was answered with {status}: {answer[:200]}")


def waiting(stack, env):
    return int(stack.sql(f"select count(*) from notifications where service_id = '{service_of(env)}' and status = 'created'")[0])


def within(stack, env, channel):
    """The time within which 95 of 100 were with their provider, in seconds."""
    waited = stack.sql("select percentile_cont(0.95) within group (order by extract(epoch from sent_at - created_at))"
                       f" from notifications where service_id = '{service_of(env)}' and channel = '{channel}'")
    return float(waited[0])


@scenario("api", "requests full of values that nobody uses, pages of large mails, and readers who never read")
def large_requests(stack, scale):
    stack.start("api", ready=stack.env["NOTIFY_API_URL"] + "/_status?simple=1",
                PILLARBOX__API__WRITE_TIMEOUT=f"{WRITE_TIMEOUT_SECONDS}s")
    large, other = tenant_of_large_mails(stack), stack.another_tenant()
    waited, stopped = [], threading.Event()
    small = threading.Thread(target=small_requests, args=(other, stopped, waited))
    small.start()
    try:
        unused = {"name": "Rosa", "unused": "x" * 7_900_000}
        at_once(8, scale.large_requests, lambda caller, _: post_mail(caller, large, unused))
        pages(large, 4)
        used = {"name": ("Your permit for a car is ready to collect.\n\n" * 43_000)[:1_900_000]}
        at_once(8, scale.large_requests, lambda caller, _: post_mail(caller, large, used))
        shown = pages(large, 4)
        for values in HOSTILE:
            at_once(8, 8, lambda caller, _, text=values: post_mail(caller, large, {"name": text}, refused=400))
    finally:
        stopped.set()
        small.join()
    p50, p95 = statistics.median(waited), sorted(waited)[len(waited) * 95 // 100]
    require(p50 < SMALL_ANSWERED_WITHIN_SECONDS, f"half of others' small requests waited {p50:.2f} s or longer")
    readers = {never_reads(large) for _ in range(10)}
    # The last of them may wait for the first to be cut off.
    until("who never reads is cut off", 10 * WRITE_TIMEOUT_SECONDS, lambda: not drop_ended(readers))
    stuck = never_reads(large)
    most = stack.most_memory("api")
    took = stack.terminate("api")
    stuck.close()
    require(took < 4 * WRITE_TIMEOUT_SECONDS, f"SIGTERM took {took:.1f} s, for a reader who never reads")
    require(most < API_BELOW_MB, f"the api grew to {most:.0f} MB")
    stack.require_no_panic()
    return [f"{scale.large_requests} of each kind", f"{shown / 1e6:.0f} MB of pages", f"p50 of others {p50:.2f} s, p95 {p95:.2f} s",
            f"SIGTERM {took:.1f} s", f"api {most:.0f} MB"]


def at_once(threads, count, ask):
    """`ask` so many times, until each is answered with what was asked for."""
    callers = threading.local()

    def one(number):
        if not hasattr(callers, "own"):
            callers.own = {}
        until("it is answered", LARGE_DELIVERED_WITHIN_SECONDS, lambda: ask(callers.own, number), pause=1)

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, range(count)))


def caller_of(kept, env):
    if env["API_KEY"] not in kept:
        kept[env["API_KEY"]] = Caller(env["NOTIFY_API_URL"], *split_key(env["API_KEY"]))
    return kept[env["API_KEY"]]


def post_mail(kept, env, values, refused=None):
    body = {"email_address": env["FUNCTIONAL_TEST_EMAIL"], "template_id": env["EMAIL_TEMPLATE_ID"], "personalisation": values}
    status, answer = caller_of(kept, env).post("/v2/notifications/email", body)
    require(status in (201, refused, 503), f"a large request was answered with {status}: {answer[:200]}")
    return status != 503


def pages(env, count):
    """Reads so many pages at once; each is whole. Answers the bytes of one."""
    lengths = []

    def page(kept, _):
        status, content = caller_of(kept, env).get("/v2/notifications")
        require(status in (200, 429, 503), f"a page was answered with {status}")
        if status == 200:
            lengths.append(len(content))
            require(json.loads(content)["notifications"], "the page is empty")
        return status == 200

    at_once(count, count, page)
    return max(lengths)


def small_requests(env, stopped, waited):
    """One after the other; how long each took."""
    caller = Caller(env["NOTIFY_API_URL"], *split_key(env["API_KEY"]))
    body = {"phone_number": env["FUNCTIONAL_TEST_NUMBER"], "template_id": env["SMS_TEMPLATE_ID"], "personalisation": {"name": "Rosa"}}
    while not stopped.wait(0.05):
        asked = time.monotonic()
        status, answer = caller.post("/v2/notifications/sms", body)
        require(status == 201, f"a small request was answered with {status}: {answer[:200]}")
        waited.append(time.monotonic() - asked)


def never_reads(env):
    """Asks for a page of large mails, and takes nothing of it."""
    url = urllib.parse.urlsplit(env["NOTIFY_API_URL"])
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    reader.connect((url.hostname, url.port))
    token = Caller(env["NOTIFY_API_URL"], *split_key(env["API_KEY"])).authorization()
    reader.sendall(f"GET /v2/notifications HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n".encode())
    return reader


def drop_ended(readers):
    """Forgets those that were cut off, or were told to come back; answers the others."""
    for reader in list(readers):
        error = reader.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        ready, _, _ = select.select([reader], [], [], 0)
        if error or (ready and reader.recv(12, socket.MSG_PEEK) in (b"HTTP/1.1 503", b"HTTP/1.1 429")):
            readers.discard(reader)
            reader.close()
    return readers


if __name__ == "__main__":
    main("memory", Scale)
