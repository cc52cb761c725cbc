"""What must hold however large what is sent: no process grows with it, and nobody else waits for it.

Called by scripts/memory, which tells how. Prints a line per scenario with its figures; ends with 1 when something did not hold.
"""

import concurrent.futures
import threading
import time

from scenarios import main, scenario
from sender import Caller, Sender, split_key
from stack import require, until

# Of the worker.
WORKER_BELOW_MB = 300
# From being accepted to being with a provider, for 95 of 100 messages of others.
OTHERS_WITHIN_SECONDS = 2
LARGE_DELIVERED_WITHIN_SECONDS = 600


class Scale:
    """How much of everything."""

    def __init__(self, quick):
        self.large_mails = 100 if quick else 200


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
    # The simulator keeps few of them: it is not what is measured.
    stack.start_simulator(keep=10)
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


if __name__ == "__main__":
    main("memory", Scale)
