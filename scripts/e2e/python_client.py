"""The official Python client, unmodified, against a running Pillarbox: every method that it has, and what it raises.

Takes everything from the environment (`. .pillarbox/env`). Prints a line per check and goes on after one that fails; exits with 1 if any did.
"""

import io
import json
import os
import sys
import time
import uuid

import jwt
from notifications_python_client.errors import HTTP503Error, HTTPError
from notifications_python_client.notifications import NotificationsAPIClient

from answers import Recorded
from python_limits_and_files import confirmed_files, files, limits, rate_limit, received_texts, unsubscribe
from python_stage import (
    API, EMAIL, EMAIL_TEMPLATE, KEY, NAME, PHONE, RUN, SMS_TEMPLATE, UNSUBSCRIBE, answers, check, check_that, client_of, fetch, final, ids,
    inbox, refused, tally,
)

PAGE = 250
UNDECODABLE = (
    "Invalid token: make sure your API token matches the example at "
    "https://docs.notifications.service.gov.uk/rest-api.html#authorisation-header"
)
STATUSES = (
    "cancelled, created, sending, sent, delivered, pending, failed, technical-failure, temporary-failure, permanent-failure, "
    "pending-virus-check, validation-failed, virus-scan-failed, returned-letter, accepted, received"
)
# The methods of the client that are the API's, not HTTP's.
METHODS = {name for name, method in vars(NotificationsAPIClient).items() if callable(method) and not name.startswith("_")}


# Sending and reading

def send_sms(client, reference):
    sent = client.send_sms_notification(PHONE, SMS_TEMPLATE, personalisation={"name": NAME}, reference=reference,
                                        sms_sender_id=os.environ["SMS_SENDER_ID"])
    check("sms: reference", sent["reference"], reference)
    check("sms: template", sent["template"]["id"], SMS_TEMPLATE)
    check("sms: template's uri", sent["template"]["uri"], f"{API}/services/{os.environ['SERVICE_ID']}/templates/{SMS_TEMPLATE}")
    check("sms: uri", sent["uri"], f"{API}/v2/notifications/{sent['id']}")
    check("sms: body", sent["content"]["body"], f"Hello {NAME}, your permit is ready to collect.")
    check("sms: sender", sent["content"]["from_number"], "PILLARBOX")
    return sent


def send_email(client, reference):
    sent = client.send_email_notification(
        EMAIL, EMAIL_TEMPLATE, personalisation={"name": NAME}, reference=reference,
        email_reply_to_id=os.environ["EMAIL_REPLY_TO_ID"], one_click_unsubscribe_url=UNSUBSCRIBE)
    check("e-mail: reference", sent["reference"], reference)
    check("e-mail: template", sent["template"]["id"], EMAIL_TEMPLATE)
    check("e-mail: subject", sent["content"]["subject"], f"Your permit is ready, {NAME}")
    check_that("e-mail: body starts with the filled heading", sent["content"]["body"].startswith(f"# Hello {NAME}\n"), sent)
    check("e-mail: one-click URL is echoed", sent["content"]["one_click_unsubscribe_url"], UNSUBSCRIBE)
    check("e-mail: nothing was sanitised", sent["sanitised_content"], {})
    return sent


def send_the_least(client):
    sms = client.send_sms_notification(PHONE, SMS_TEMPLATE, {"name": NAME})
    email = client.send_email_notification(EMAIL, EMAIL_TEMPLATE, {"name": NAME})
    check("least: no reference", (sms["reference"], email["reference"]), (None, None))
    check("least: no one-click URL", email["content"]["one_click_unsubscribe_url"], None)


def sanitise(client):
    unsafe = "Rosa *M* https://evil.example/a?b or evil.example"
    safe = r"Rosa \*M\*  or evil\. example"
    sent = client.send_email_notification(EMAIL, EMAIL_TEMPLATE, {"name": unsafe}, sanitise_content_for=["Name"])
    check("sanitised: what was changed, and how", sent["sanitised_content"],
          {"name": {"unsanitised": unsafe, "sanitised": safe}})
    check_that("sanitised: the body has the safe value", sent["content"]["body"].startswith(f"# Hello {safe}\n"), sent)


def read(client, sms, email):
    text = final(client, sms["id"], "sms")
    check("sms: type", text["type"], "sms")
    check("sms: recipient", (text["phone_number"], text["email_address"]), (PHONE, None))
    check("sms: body and reference as sent", (text["body"], text["reference"]), (sms["content"]["body"], sms["reference"]))
    check("sms: no subject", text["subject"], None)
    check("sms: template", text["template"],
          {"id": SMS_TEMPLATE, "version": sms["template"]["version"],
           "uri": f"{API}/v2/template/{SMS_TEMPLATE}/version/{sms['template']['version']}"})
    cost = text["cost_details"]
    check("sms: fragments and their cost", (text["is_cost_data_ready"], cost["billable_sms_fragments"], text["cost_in_pounds"]),
          (True, 1, cost["sms_rate"]))
    mail = final(client, email["id"], "e-mail")
    check("e-mail: type", mail["type"], "email")
    check("e-mail: recipient", (mail["phone_number"], mail["email_address"]), (None, EMAIL))
    check("e-mail: subject and body as sent", (mail["subject"], mail["body"]),
          (email["content"]["subject"], email["content"]["body"]))
    check("e-mail: one-click URL", mail["one_click_unsubscribe_url"], UNSUBSCRIBE)
    check("e-mail: costs nothing", (mail["cost_in_pounds"], mail["cost_details"]), (0.0, {}))


def handed_over(sms, email):
    """What the simulated providers were given."""
    taken = inbox()
    text, mail = taken.get(sms["id"], {}), taken.get(email["id"], {})
    check("inbox: the text, with the service's name in front", (text.get("from"), text.get("text")),
          ("PILLARBOX", f"Pillarbox demo: {sms['content']['body']}"))
    headers = dict(mail.get("headers", []))
    check("inbox: the e-mail's subject and reply-to", (headers.get("Subject"), headers.get("Reply-To")),
          (email["content"]["subject"], "reply@example.com"))
    check("inbox: the e-mail's one-click headers", (headers.get("List-Unsubscribe"), headers.get("List-Unsubscribe-Post")),
          (f"<{UNSUBSCRIBE}>", "List-Unsubscribe=One-Click"))


# Lists

def lists(client, sms, email, reference):
    # Newest first: the e-mail was sent after the text.
    both = [email["id"], sms["id"]]

    def listed(**filters):
        return ids(client.get_all_notifications(**filters)["notifications"])

    check("list: by reference", listed(reference=reference), both)
    check_that("list: without filters", set(both) <= set(listed()), both)
    for template_type, sent in (("sms", sms), ("email", email)):
        check(f"list: {template_type}, delivered, by reference",
              listed(template_type=template_type, status="delivered", reference=reference), [sent["id"]])
    check("list: several types and statuses",
          listed(template_type=["sms", "email"], status=["delivered", "sending"], reference=reference), both)
    check("list: none of them failed", listed(status="failed", reference=reference), [])
    check("list: received stands for delivered", listed(status="received", reference=reference), both)
    check("list: older than the e-mail", listed(reference=reference, older_than=email["id"]), [sms["id"]])
    check("list: older than what nobody knows", listed(reference=reference, older_than=str(uuid.uuid4())), [])
    check("list: with those of jobs", listed(reference=reference, include_jobs=True), both)
    page = client.get_all_notifications(status=["delivered", "sending"], reference=reference)
    check("list: current link repeats the filters", sorted(page["links"]["current"].partition("?")[2].split("&")),
          sorted(["status=delivered", "status=sending", f"reference={reference}"]))
    check_that("list: next link carries the last id", sms["id"] in page["links"].get("next", ""), page["links"])
    check("iterator: ends after both", ids(client.get_all_notifications_iterator(reference=reference)), both)
    check("iterator: from the e-mail on", ids(client.get_all_notifications_iterator(reference=reference, older_than=email["id"])),
          [sms["id"]])


def pages(simulated):
    """A page and a bit, under a reference that looks like an id: the client takes the first id of the next link for its cursor."""
    reference = str(uuid.uuid4())
    sent = [simulated.send_sms_notification(PHONE, SMS_TEMPLATE, {"name": NAME}, reference=reference)["id"]
            for _ in range(PAGE + 2)]
    first = simulated.get_all_notifications(reference=reference)["notifications"]
    check("pages: the first holds the newest 250", ids(first), sent[:1:-1])
    check("pages: the iterator finds all, newest first", ids(simulated.get_all_notifications_iterator(reference=reference)), sent[::-1])


def bad_filters(client):
    refused("a status that is none", lambda: client.get_all_notifications(status="lost"), 400,
            ("ValidationError", f"status lost is not one of [{STATUSES}]"))
    refused("a type that is none", lambda: client.get_all_notifications(template_type="fax"), 400,
            ("ValidationError", "template_type fax is not one of [sms, email, letter]"))
    refused("jobs neither way", lambda: client.get_all_notifications(include_jobs="yes"), 400,
            ("ValidationError", "include_jobs yes is not one of [true, True]"))
    refused("older than no id", lambda: client.get_all_notifications(older_than="1"), 400,
            ("ValidationError", "older_than is not a valid UUID"))


# Keys

def keys(simulated, team, client):
    reference = f"e2e-{RUN}-keys"
    sent = team.send_sms_notification(PHONE, SMS_TEMPLATE, {"name": NAME}, reference=reference)
    final(team, sent["id"], "team key: sms to the guest list")
    for what, recipient in (("number", "07700900999"), ("address", "stranger@example.com")):
        send = team.send_sms_notification if what == "number" else team.send_email_notification
        template = SMS_TEMPLATE if what == "number" else EMAIL_TEMPLATE
        refused(f"team key, a stranger's {what}", lambda send=send, recipient=recipient, template=template:
                send(recipient, template, {"name": NAME}), 400,
                ("BadRequestError", "Can’t send to this recipient using a team-only API key"))
    for recipient, outcome in (("07700900003", "temporary-failure"), ("07700900002", "permanent-failure"), ("07700900999", "delivered")):
        sent = simulated.send_sms_notification(recipient, SMS_TEMPLATE, {"name": NAME}, reference=reference)
        final(simulated, sent["id"], f"test key: sms to {recipient}", outcome)
    for recipient, outcome in (("temp-fail@simulator.notify", "temporary-failure"),
                               ("perm-fail@simulator.notify", "permanent-failure"), (EMAIL, "delivered")):
        sent = simulated.send_email_notification(recipient, EMAIL_TEMPLATE, {"name": NAME}, reference=reference)
        final(simulated, sent["id"], f"test key: e-mail to {recipient}", outcome)
    failed = simulated.get_all_notifications(status="failed", reference=reference)["notifications"]
    check("list: failed stands for every failure", [(one["type"], one["status"]) for one in failed],
          [("email", "permanent-failure"), ("email", "temporary-failure"), ("sms", "permanent-failure"), ("sms", "temporary-failure")])
    check("list: a key lists its own type only", [len(key.get_all_notifications(reference=reference)["notifications"])
                                                  for key in (client, team, simulated)], [0, 1, 6])
    check("a key reads what another type sent", client.get_notification_by_id(sent["id"])["id"], sent["id"])


def idempotency():
    """With a header that any client of requests can be given."""
    once = answers.watch(NotificationsAPIClient(KEY, base_url=API))
    once.request_session.headers["Idempotency-Key"] = RUN
    reference = f"e2e-{RUN}-once"
    first, again = (once.send_sms_notification(PHONE, SMS_TEMPLATE, {"name": NAME}, reference=reference) for _ in range(2))
    check("idempotency: the same request gets the same answer", again, first)
    check("idempotency: there is one notification", ids(once.get_all_notifications(reference=reference)["notifications"]), [first["id"]])
    refused("another request with the same key", lambda: once.send_sms_notification(PHONE, SMS_TEMPLATE, {"name": RUN}), 422,
            ("IdempotencyKeyError", "Idempotency-Key was used for another request within the last 24 hours"))


def simulated_recipients(client):
    for what, send, recipient, template in (
        ("number", client.send_sms_notification, "07700 900 111", SMS_TEMPLATE),
        ("address", client.send_email_notification, "simulate-delivered-2@notifications.service.gov.uk", EMAIL_TEMPLATE),
    ):
        sent = send(recipient, template, {"name": NAME})
        refused(f"a simulated {what} leaves nothing to read", lambda sent=sent: client.get_notification_by_id(sent["id"]), 404,
                ("NoResultFound", "No result found"))


# Templates

def templates(client):
    for template_type, template_id in (("sms", SMS_TEMPLATE), ("email", EMAIL_TEMPLATE)):
        template = client.get_template(template_id)
        check(f"template: {template_type}", (template["id"], template["type"]), (template_id, template_type))
        check(f"template: {template_type}'s placeholders", template["personalisation"], {"name": {"required": True}})
        check(f"template: {template_type}'s subject", template["subject"],
              "Your permit is ready, ((name))" if template_type == "email" else None)
        for version in (template["version"], 0):
            check(f"template: {template_type}, version {version}", client.get_template_version(template_id, version), template)
        listed = client.get_all_templates(template_type)["templates"]
        check_that(f"templates: {template_type} only", {one["type"] for one in listed} == {template_type} and template in listed, listed)
        preview = client.post_template_preview(template_id, {"name": NAME})
        check(f"preview: {template_type}", (preview["id"], preview["version"], preview["body"], preview["subject"]),
              (template_id, template["version"], template["body"].replace("((name))", NAME),
               template["subject"] and template["subject"].replace("((name))", NAME)))
        check_that(f"preview: {template_type}'s HTML", NAME in preview["html"] if template_type == "email" else preview["html"] is None,
                   preview["html"])
        refused(f"preview of {template_type} without a name", lambda template_id=template_id:
                client.post_template_preview(template_id, {}), 400, ("BadRequestError", "Missing personalisation: name"))
    check_that("templates: both", {SMS_TEMPLATE, EMAIL_TEMPLATE} <= set(ids(client.get_all_templates()["templates"])), "not both")
    check("templates: no letters", client.get_all_templates("letter"), {"templates": []})
    nothing = ("NoResultFound", "No result found")
    refused("templates of a type that is none", lambda: client.get_all_templates("fax"), 400,
            ("ValidationError", "type fax is not one of [sms, email, letter]"))
    refused("a template that does not exist", lambda: client.get_template(uuid.uuid4()), 404, nothing)
    refused("a version that does not exist", lambda: client.get_template_version(SMS_TEMPLATE, 4000), 404, nothing)
    refused("a template id that is none", lambda: client.get_template("1"), 400, ("ValidationError", "id is not a valid UUID"))


# Refusals

def letters(client):
    permission = ("BadRequestError", "Service is not allowed to send letters")
    address = {"address_line_1": "Rosa Marsh", "address_line_2": "1 High Street", "address_line_3": "SW1A 1AA", "name": NAME}
    refused("a letter", lambda: client.send_letter_notification(EMAIL_TEMPLATE, address, reference=RUN), 400, permission)
    refused("a precompiled letter",
            lambda: client.send_precompiled_letter_notification(RUN, io.BytesIO(b"%PDF-1.5 test"), postage="first"), 400, permission)


def not_for_these_keys(sms):
    """Without schemas: nobody published any for these answers."""
    client = Recorded(NotificationsAPIClient(KEY, base_url=API))
    refused("the PDF of a text", lambda: client.get_pdf_for_letter(sms["id"]), 400,
            ("BadRequestError", "Notification is not a letter"))
    # A path of the internal API, which the client calls with a service's key.
    try:
        client.get_all_template_versions(SMS_TEMPLATE)
    except HTTPError as refusal:
        tally.check("refused: all versions of a template", (refusal.status_code, refusal.message),
                    (401, {"token": ["Unauthorized: not allowed to perform this action"]}))
    else:
        tally.fail("refused: all versions of a template", "it was answered")


def refusals(client):
    refused("a notification that does not exist", lambda: client.get_notification_by_id(uuid.uuid4()), 404,
            ("NoResultFound", "No result found"))
    refused("an id that is none", lambda: client.get_notification_by_id("1"), 400,
            ("ValidationError", "notification_id is not a valid UUID"))
    refused("personalisation left out", lambda: client.send_sms_notification(PHONE, SMS_TEMPLATE), 400,
            ("BadRequestError", "Missing personalisation: name"))
    refused("a template that does not exist", lambda: client.send_sms_notification(PHONE, str(uuid.uuid4())), 400,
            ("BadRequestError", "Template not found"))
    refused("a template of the other type", lambda: client.send_email_notification(EMAIL, SMS_TEMPLATE, {"name": NAME}), 400,
            ("BadRequestError", "sms template is not suitable for email notification"))
    refused("a number that is none", lambda: client.send_sms_notification("0770", SMS_TEMPLATE, {"name": NAME}), 400,
            ("ValidationError", "phone_number Not enough digits"))
    refused("three mistakes at once", lambda: client.send_email_notification("rosa", "1", "x"), 400,
            ("ValidationError", "email_address Not a valid email address"),
            ("ValidationError", "template_id is not a valid UUID"),
            ("ValidationError", "personalisation x is not of type object"))
    sender = str(uuid.uuid4())
    service = os.environ["SERVICE_ID"]
    refused("a sender of nobody", lambda: client.send_sms_notification(PHONE, SMS_TEMPLATE, {"name": NAME}, sms_sender_id=sender), 400,
            ("BadRequestError", f"sms_sender_id {sender} does not exist in database for service id {service}"))
    refused("a reply-to of nobody",
            lambda: client.send_email_notification(EMAIL, EMAIL_TEMPLATE, {"name": NAME}, email_reply_to_id=sender), 400,
            ("BadRequestError", f"email_reply_to_id {sender} does not exist in database for service id {service}"))
    refused("an unsubscribe link without TLS", lambda: client.send_email_notification(
        EMAIL, EMAIL_TEMPLATE, {"name": NAME}, one_click_unsubscribe_url="http://example.com"), 400,
        ("ValidationError", "one_click_unsubscribe_url is not a valid https url"))


def wrong_keys():
    service, secret = KEY[-73:-37], KEY[-36:]

    def with_key(service_id, key_secret):
        return client_of(f"wrong-{service_id}-{key_secret}").get_all_notifications

    refused("a secret that no key has", with_key(service, uuid.uuid4()), 403, ("AuthError", "Invalid token: API key not found"))
    refused("a service that does not exist", with_key(uuid.uuid4(), secret), 403, ("AuthError", "Invalid token: service not found"))
    refused("a service id that is none", with_key("x" * 36, secret), 403,
            ("AuthError", "Invalid token: service id is not the right data type"))
    try:
        client_of(KEY, "http://127.0.0.1:1").get_all_templates()
    except HTTP503Error as error:
        check("nobody answers: an error of its own class", (error.status_code, error.message), (503, "Request failed"))


def wrong_headers():
    """What the client itself never sends."""
    service, secret = KEY[-73:-37], KEY[-36:]
    now = int(time.time())

    def token(claims, **kwargs):
        return "Bearer " + jwt.encode(claims, secret, **{"algorithm": "HS256", **kwargs})

    for what, authorization, status, message in (
        ("no token", None, 401, "Unauthorized: authentication token must be provided"),
        ("another scheme", "Basic eA==", 401, "Unauthorized: authentication bearer scheme must be used"),
        ("a token that is none", "Bearer nonsense", 403, UNDECODABLE),
        ("no issuer", token({"iat": now}), 403, "Invalid token: iss field not provided"),
        ("a stale token", token({"iss": service, "iat": now - 60}), 403, "Error: Your system clock must be accurate to within 30 seconds"),
        ("another algorithm", token({"iss": service, "iat": now}, algorithm="HS512"), 403, "Invalid token: algorithm used is not HS256"),
    ):
        headers = {"Authorization": authorization} if authorization is not None else {}
        answered, _, body, _ = fetch(f"{API}/v2/notifications", headers=headers)
        check(f"refused: {what}", (answered, json.loads(body)),
              (status, {"status_code": status, "errors": [{"error": "AuthError", "message": message}]}))


def main():
    client, team, simulated = (client_of(os.environ[name]) for name in ("API_KEY", "API_SENDING_KEY", "API_TEST_KEY"))
    reference = f"e2e-{RUN}"
    sms = tally.flow(send_sms, client, reference)
    email = tally.flow(send_email, client, reference)
    if sms and email:
        tally.flow(read, client, sms, email)
        tally.flow(handed_over, sms, email)
        tally.flow(lists, client, sms, email, reference)
        tally.flow(not_for_these_keys, sms)
    for steps in (send_the_least, sanitise, simulated_recipients, templates, bad_filters, letters, refusals, files, confirmed_files):
        tally.flow(steps, client)
    tally.flow(idempotency)
    tally.flow(pages, simulated)
    tally.flow(keys, simulated, team, client)
    limited, limited_test = (client_of(os.environ[name]) for name in ("LIMITED_NORMAL_KEY", "LIMITED_TEST_KEY"))
    tally.flow(limits, limited, limited_test)
    tally.flow(unsubscribe, limited)
    tally.flow(rate_limit, limited)
    tally.flow(received_texts, limited)
    tally.flow(wrong_keys)
    tally.flow(wrong_headers)
    answers.close()
    check("every method of the client was used", sorted(METHODS - Recorded.used), [])
    print(f"python client: {tally.passed} passed, {tally.failed} failed", flush=True)
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
