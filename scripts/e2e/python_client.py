"""The official Python client, unmodified, against a running Pillarbox: sends, follows to delivered, lists, reads, is refused.

Takes everything from the environment (`. .pillarbox/env`). Prints a line per check; the first that fails ends it.
"""

import json
import logging
import os
import time
import urllib.error
import urllib.request
import uuid
import warnings

import jwt
from notifications_python_client.errors import HTTPError
from notifications_python_client.notifications import NotificationsAPIClient

API = os.environ["NOTIFY_API_URL"]
KEY = os.environ["API_KEY"]
PHONE = os.environ["FUNCTIONAL_TEST_NUMBER"]
EMAIL = os.environ["FUNCTIONAL_TEST_EMAIL"]
SMS_TEMPLATE = os.environ["SMS_TEMPLATE_ID"]
EMAIL_TEMPLATE = os.environ["EMAIL_TEMPLATE_ID"]
DELIVERED_WITHIN_SECONDS = 60

# One run finds its own messages by this, also in a database that was kept.
RUN = uuid.uuid4().hex[:12]
NAME = f"Rosa {RUN}"

UNDECODABLE = (
    "Invalid token: make sure your API token matches the example at "
    "https://docs.notifications.service.gov.uk/rest-api.html#authorisation-header"
)


# Refusals are what is tested here: neither the client nor PyJWT need say more about them.
logging.getLogger("notifications_python_client").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", message=".*HMAC key.*")


def check(what, found, expected):
    if found != expected:
        raise SystemExit(f"FAILED {what}: found {found!r}, expected {expected!r}")
    print(f"ok     {what}", flush=True)


def check_that(what, holds, shown):
    if not holds:
        raise SystemExit(f"FAILED {what}: {shown!r}")
    print(f"ok     {what}", flush=True)


def delivered(client, notification_id, what):
    """Polls until the notification is delivered; any other final status, or the time running out, fails."""
    seen = []
    deadline = time.monotonic() + DELIVERED_WITHIN_SECONDS
    while time.monotonic() < deadline:
        notification = client.get_notification_by_id(notification_id)
        status = notification["status"]
        if status not in seen:
            seen.append(status)
        if status == "delivered":
            check_that(f"{what} is delivered ({' -> '.join(seen)})", notification["completed_at"], notification)
            return notification
        if status not in ("created", "sending", "pending"):
            raise SystemExit(f"FAILED {what} ended otherwise: {notification!r}")
        time.sleep(0.2)
    raise SystemExit(f"FAILED {what} is not delivered within {DELIVERED_WITHIN_SECONDS} s: {seen}")


def send_sms(client, reference):
    sent = client.send_sms_notification(
        PHONE,
        SMS_TEMPLATE,
        personalisation={"name": NAME},
        reference=reference,
        sms_sender_id=os.environ["SMS_SENDER_ID"],
    )
    check("sms: reference", sent["reference"], reference)
    check("sms: template", sent["template"]["id"], SMS_TEMPLATE)
    check("sms: uri", sent["uri"], f"{API}/v2/notifications/{sent['id']}")
    check_that("sms: the name is filled in", NAME in sent["content"]["body"], sent)
    check_that("sms: a sender", sent["content"]["from_number"], sent)
    check("sms: not scheduled", sent["scheduled_for"], None)
    return sent


def send_email(client, reference):
    sent = client.send_email_notification(
        EMAIL,
        EMAIL_TEMPLATE,
        personalisation={"name": NAME},
        reference=reference,
        email_reply_to_id=os.environ["EMAIL_REPLY_TO_ID"],
    )
    check("e-mail: reference", sent["reference"], reference)
    check("e-mail: template", sent["template"]["id"], EMAIL_TEMPLATE)
    check_that("e-mail: the name is filled in", NAME in sent["content"]["body"], sent)
    check_that("e-mail: subject and sender", sent["content"]["subject"] and sent["content"]["from_email"], sent)
    return sent


def read(client, sms, email):
    text = delivered(client, sms["id"], "sms")
    check("sms: type", text["type"], "sms")
    check("sms: recipient", (text["phone_number"], text["email_address"]), (PHONE, None))
    check("sms: body as sent", text["body"], sms["content"]["body"])
    check("sms: no subject", text["subject"], None)
    check("sms: template version", text["template"]["version"], sms["template"]["version"])
    mail = delivered(client, email["id"], "e-mail")
    check("e-mail: type", mail["type"], "email")
    check("e-mail: recipient", (mail["phone_number"], mail["email_address"]), (None, EMAIL))
    check("e-mail: subject and body as sent", (mail["subject"], mail["body"]),
          (email["content"]["subject"], email["content"]["body"]))


def ids(notifications):
    return [notification["id"] for notification in notifications]


def lists(client, sms, email, reference):
    # Newest first: the e-mail was sent after the text.
    both = [email["id"], sms["id"]]
    check("list: the newest two", ids(client.get_all_notifications()["notifications"])[:2], both)
    check("list: by reference", ids(client.get_all_notifications(reference=reference)["notifications"]), both)
    for template_type, sent in (("sms", sms), ("email", email)):
        page = client.get_all_notifications(template_type=template_type, status="delivered", reference=reference)
        check(f"list: {template_type}, delivered, by reference", ids(page["notifications"]), [sent["id"]])
    check("list: none of them failed",
          client.get_all_notifications(status="failed", reference=reference)["notifications"], [])
    check("list: older than the e-mail",
          ids(client.get_all_notifications(reference=reference, older_than=email["id"])["notifications"]), [sms["id"]])
    check("iterator: ends after both", ids(client.get_all_notifications_iterator(reference=reference)), both)


def refused(what, call, status, error, message):
    try:
        call()
    except HTTPError as refusal:
        check(f"refused: {what}", (refusal.status_code, refusal.message), (status, [{"error": error, "message": message}]))
    else:
        raise SystemExit(f"FAILED refused: {what}: it was accepted")


def refusals(client):
    service, secret = KEY[-73:-37], KEY[-36:]

    def with_key(service_id, key_secret):
        return NotificationsAPIClient(f"wrong-{service_id}-{key_secret}", base_url=API).get_all_notifications

    refused("a secret that no key has", with_key(service, uuid.uuid4()), 403, "AuthError",
            "Invalid token: API key not found")
    refused("a service that does not exist", with_key(uuid.uuid4(), secret), 403, "AuthError",
            "Invalid token: service not found")
    refused("a service id that is none", with_key("x" * 36, secret), 403, "AuthError",
            "Invalid token: service id is not the right data type")
    refused("a notification that does not exist", lambda: client.get_notification_by_id(uuid.uuid4()), 404,
            "NoResultFound", "No result found")
    refused("an id that is none", lambda: client.get_notification_by_id("1"), 400, "ValidationError",
            "notification_id is not a valid UUID")
    refused("personalisation left out", lambda: client.send_sms_notification(PHONE, SMS_TEMPLATE), 400,
            "BadRequestError", "Missing personalisation: name")
    refused("a template that does not exist", lambda: client.send_sms_notification(PHONE, str(uuid.uuid4())), 400,
            "BadRequestError", "Template not found")
    refused("a number that is none", lambda: client.send_sms_notification("0770", SMS_TEMPLATE, {"name": NAME}), 400,
            "ValidationError", "phone_number Not enough digits")


def refused_header(what, authorization, status, message):
    """What the client itself never sends."""
    headers = {"Authorization": authorization} if authorization is not None else {}
    try:
        urllib.request.urlopen(urllib.request.Request(f"{API}/v2/notifications", headers=headers), timeout=30)
    except urllib.error.HTTPError as refusal:
        check(f"refused: {what}", (refusal.code, json.load(refusal)),
              (status, {"status_code": status, "errors": [{"error": "AuthError", "message": message}]}))
    else:
        raise SystemExit(f"FAILED refused: {what}: it was accepted")


def refused_headers():
    service, secret = KEY[-73:-37], KEY[-36:]
    now = int(time.time())

    def token(claims, **kwargs):
        return "Bearer " + jwt.encode(claims, secret, **{"algorithm": "HS256", **kwargs})

    refused_header("no token", None, 401, "Unauthorized: authentication token must be provided")
    refused_header("another scheme", "Basic eA==", 401, "Unauthorized: authentication bearer scheme must be used")
    refused_header("a token that is none", "Bearer nonsense", 403, UNDECODABLE)
    refused_header("no issuer", token({"iat": now}), 403, "Invalid token: iss field not provided")
    refused_header("a stale token", token({"iss": service, "iat": now - 60}), 403,
                   "Error: Your system clock must be accurate to within 30 seconds")
    refused_header("another algorithm", token({"iss": service, "iat": now}, algorithm="HS512"), 403,
                   "Invalid token: algorithm used is not HS256")


def shown_in_inbox():
    """The simulated providers took both: their inbox page shows the name of this run once a message."""
    with urllib.request.urlopen(os.environ["SIMULATOR_URL"] + "/", timeout=30) as page:
        text = page.read().decode()
    check_that("inbox: shows both messages", text.count(NAME) >= 2, f"{text.count(NAME)} times {NAME}")


def main():
    client = NotificationsAPIClient(KEY, base_url=API)
    reference = f"e2e-{RUN}"
    sms = send_sms(client, reference)
    email = send_email(client, reference)
    read(client, sms, email)
    lists(client, sms, email, reference)
    shown_in_inbox()

    team = NotificationsAPIClient(os.environ["API_SENDING_KEY"], base_url=API)
    delivered(team, send_sms(team, f"{reference}-team")["id"], "sms of a team key")
    simulated = NotificationsAPIClient(os.environ["API_TEST_KEY"], base_url=API)
    delivered(simulated, send_sms(simulated, f"{reference}-test")["id"], "sms of a test key")
    check("list: a key lists its own type only",
          ids(simulated.get_all_notifications(reference=reference)["notifications"]), [])

    refusals(client)
    refused_headers()
    print("python client: all good", flush=True)


if __name__ == "__main__":
    main()
