"""What the flows of the Python client share: where the stack is, clients whose answers are watched, and a few ways to look."""

import json
import logging
import os
import time
import urllib.error
import urllib.request
import uuid
import warnings

from notifications_python_client.errors import HTTPError
from notifications_python_client.notifications import NotificationsAPIClient

from answers import Answers, Recorded, Tally

API = os.environ["NOTIFY_API_URL"]
KEY = os.environ["API_KEY"]
PHONE = os.environ["FUNCTIONAL_TEST_NUMBER"]
EMAIL = os.environ["FUNCTIONAL_TEST_EMAIL"]
SMS_TEMPLATE = os.environ["SMS_TEMPLATE_ID"]
EMAIL_TEMPLATE = os.environ["EMAIL_TEMPLATE_ID"]
NEWS_TEMPLATE = os.environ["NEWS_TEMPLATE_ID"]
FINAL_WITHIN_SECONDS = 60

# One run finds its own messages by this, also in a database that was kept.
RUN = uuid.uuid4().hex[:12]
NAME = f"Rosa {RUN}"
UNSUBSCRIBE = f"https://permits.example.com/unsubscribe/{RUN}"

tally = Tally()
answers = Answers(tally)
check, check_that = tally.check, tally.check_that

# Refusals are what is tested here: neither the client nor PyJWT need say more about them.
logging.getLogger("notifications_python_client").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", message=".*HMAC key.*")


def client_of(key, base_url=API):
    return Recorded(answers.watch(NotificationsAPIClient(key, base_url=base_url)))


def final(client, notification_id, what, expected="delivered"):
    """Polls until the notification is final; anything but the expected status, or the time running out, fails."""
    seen = []
    deadline = time.monotonic() + FINAL_WITHIN_SECONDS
    while True:
        notification = client.get_notification_by_id(notification_id)
        status = notification["status"]
        if status not in seen:
            seen.append(status)
        if status not in ("created", "sending", "pending") or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    check(f"{what} becomes {expected} within {FINAL_WITHIN_SECONDS} s ({' -> '.join(seen)})", status, expected)
    check_that(f"{what}: a time of completion", notification["completed_at"], notification["completed_at"])
    return notification


def refused(what, call, status, *errors):
    """`errors`: class and message of each."""
    try:
        answer = call()
    except HTTPError as refusal:
        check(f"refused: {what}", (type(refusal), refusal.status_code, refusal.message),
              (HTTPError, status, [{"error": error, "message": message} for error, message in errors]))
    else:
        tally.fail(f"refused: {what}", f"it was accepted: {answer!r}")


def fetch(url, data=None, headers=None):
    """What a provider, a mail program or a browser gets: status, content type, body, and the address that it came to."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers or {}), timeout=30) as answer:
            return answer.status, answer.headers["content-type"], answer.read(), answer.url
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers["content-type"], answer.read(), answer.url


def inbox():
    """What the simulated providers were given, by the notification's id."""
    messages = json.loads(fetch(os.environ["SIMULATOR_URL"] + "/messages.json")[2])
    return {message["reference"].split("@")[0]: message for message in messages}


def ids(notifications):
    return [notification["id"] for notification in notifications]
