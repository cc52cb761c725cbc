"""The Python client's flows with a service of their own: limits, unsubscribing, received texts; and files, with the demo's."""

import html
import io
import json
import os
import re
import urllib.parse

from notifications_python_client.errors import HTTPError
from notifications_python_client.utils import prepare_upload

from python_stage import API, EMAIL, NEWS_TEMPLATE, PHONE, RUN, SMS_TEMPLATE, check, check_that, fetch, final, ids, inbox, refused, tally

LIMITED_SMS_TEMPLATE = os.environ["LIMITED_SMS_TEMPLATE_ID"]
FILE_TYPES = "'.csv', '.doc', '.docx', '.jpeg', '.jpg', '.json', '.odt', '.pdf', '.png', '.rtf', '.txt', '.xlsx'"


# The service of limited_service.sql: nine requests a minute (three at once) for each type of key, one text a day

def limits(client, simulated):
    sent = client.send_sms_notification(PHONE, LIMITED_SMS_TEMPLATE, {"code": RUN})
    final(client, sent["id"], "limits: the one text of the day")
    refused("a second text on a day of one", lambda: client.send_sms_notification(PHONE, LIMITED_SMS_TEMPLATE, {"code": RUN}), 429,
            ("TooManyRequestsError", "Exceeded send limits (sms: 1) for today"))
    for number in range(2):
        sent = simulated.send_sms_notification(PHONE, LIMITED_SMS_TEMPLATE, {"code": RUN})
        check_that(f"limits: a test key's texts do not count ({number + 1} of 2)", sent["id"], sent)


def rate_limit(client):
    """Asks wrongly until it is refused for asking too often; that comes before the body is looked at."""
    for _ in range(9):
        try:
            client.send_sms_notification("", "")
        except HTTPError as error:
            refusal = error
        if refusal.status_code == 429:
            break
    check("refused: more than nine requests a minute, whatever is in them", (refusal.status_code, refusal.message),
          (429, [{"error": "RateLimitError", "message": "Exceeded rate limit for key type LIVE of 9 requests per 60 seconds"}]))
    wait = refusal.response.headers.get("retry-after", "")
    check_that("rate limit: Retry-After says how many seconds to wait", wait.isdecimal() and 1 <= int(wait) <= 60, wait)


def unsubscribe(client):
    """The platform's own link: in the e-mail's headers, in what is read, and working, however often it is followed."""
    sent = client.send_email_notification(EMAIL, os.environ["LIMITED_EMAIL_TEMPLATE_ID"])
    check("unsubscribe: the caller gave no URL, so none is echoed", sent["content"]["one_click_unsubscribe_url"], None)
    url = final(client, sent["id"], "unsubscribe: e-mail")["one_click_unsubscribe_url"]
    check_that("unsubscribe: what is read has a link of ours", url.startswith(f"{API}/unsubscribe/{sent['id']}/"), url)
    headers = dict(inbox()[sent["id"]]["headers"])
    check("unsubscribe: the same link in the e-mail's headers", (headers.get("List-Unsubscribe"), headers.get("List-Unsubscribe-Post")),
          (f"<{url}>", "List-Unsubscribe=One-Click"))
    for times in ("once", "twice"):
        status, _, body, _ = fetch(url, b"List-Unsubscribe=One-Click")
        check(f"unsubscribe: followed {times}", (status, json.loads(body)), (200, {"result": "success", "message": "Unsubscribe successful"}))
    status, _, body, _ = fetch(url[:-4] + "AAAA", b"")
    check("unsubscribe: a token that is none", (status, json.loads(body)),
          (404, {"result": "error", "message": {"unsubscribe request": "This is not a valid unsubscribe link."}}))


def received_texts(client):
    here = f"{API}/v2/received-text-messages"
    check("received: nothing yet", client.get_received_texts(), {"received_text_messages": [], "links": {"current": here}})
    for provider, text in (("mmg", "Yes please!"), ("firetext", "STOP")):
        sent = {"provider": provider, "from": "447700900123", "to": os.environ["LIMITED_NUMBER"], "message": text}
        _, _, answer, _ = fetch(os.environ["SIMULATOR_URL"] + "/inbound", urllib.parse.urlencode(sent).encode())
        answer = json.loads(answer)
        check(f"received: a text by {provider} is taken", (answer.get("answered"), answer.get("body")), (200, '{"status":"ok"}'))
    page = client.get_received_texts()
    texts = page["received_text_messages"]
    check("received: newest first, from and to whom", [(text["content"], text["user_number"], text["notify_number"]) for text in texts],
          [(content, "447700900123", os.environ["LIMITED_NUMBER"]) for content in ("STOP", "Yes please!")])
    check("received: links", page["links"], {"current": here, "next": f"{here}?older_than={texts[-1]['id']}"})
    check("received: older than the newest", ids(client.get_received_texts(older_than=texts[0]["id"])["received_text_messages"]), [texts[1]["id"]])
    check("received: the iterator ends after both", ids(client.get_received_texts_iterator()), ids(texts))
    check("received: the iterator from the newest on", ids(client.get_received_texts_iterator(older_than=texts[0]["id"])), [texts[1]["id"]])
    refused("received texts older than no id", lambda: client.get_received_texts(older_than="1"), 400,
            ("ValidationError", "older_than is not a valid UUID"))


# Files: links stand before a comma there, and no file may be in a subject

def files(client):
    content = f"name,permit\nRosa,{RUN}\n".encode()
    upload = prepare_upload(io.BytesIO(content), filename="permits.csv", confirm_email_before_download=False, retention_period="4 weeks")
    sent = client.send_email_notification(EMAIL, NEWS_TEMPLATE, {"name": upload})
    link = re.search(r"https?://\S+/d/[^\s,]+", sent["content"]["body"])
    check_that("files: the body has a link", link, sent["content"]["body"])
    mail = final(client, sent["id"], "files: e-mail")
    check("files: what is read has the same link", mail["body"], sent["content"]["body"])
    status, kind, page, url = fetch(link.group())
    check("files: the link leads to a page", (status, kind.split(";")[0]), (200, "text/html"))
    button = re.search(r'href="([^"]+/file\?[^"]+)"', page.decode())
    check_that("files: the page has a link to the file", button, page.decode())
    status, _, downloaded, _ = fetch(urllib.parse.urljoin(url, html.unescape(button.group(1))))
    check("files: the file is as it was sent", (status, downloaded), (200, content))
    status, _, _, _ = fetch(link.group()[:-1])
    check_that("files: half a link leads nowhere", status in (404, 410), status)
    named = prepare_upload(io.BytesIO(content))
    check("files: all that is left out is null", {**named, "file": None},
          {"file": None, "filename": None, "confirm_email_before_download": None, "retention_period": None})
    refused("a file in a text", lambda: client.send_sms_notification(PHONE, SMS_TEMPLATE, {"name": named}), 400,
            ("BadRequestError", "Can only send a file by email"))
    refused("a file of a kind that nobody may send", lambda: client.send_email_notification(
        EMAIL, NEWS_TEMPLATE, {"name": prepare_upload(io.BytesIO(content), filename="permits.exe")}), 400,
        ("BadRequestError", f"Unsupported file type '.exe'. Supported types are: {FILE_TYPES}"))
    refused("a file that is kept for too long", lambda: client.send_email_notification(
        EMAIL, NEWS_TEMPLATE, {"name": prepare_upload(io.BytesIO(content), filename="permits.csv", retention_period="79 weeks")}), 400,
        ("ValidationError", "retention_period Unsupported value for retention_period: 79 weeks. Supported periods are from 1 to 78 weeks."))
    refused("a file without an extension", lambda: client.send_email_notification(
        EMAIL, NEWS_TEMPLATE, {"name": prepare_upload(io.BytesIO(content), filename="permits")}), 400,
        ("ValidationError", "filename `filename` must end with a file extension. For example, filename.csv"))
    try:
        prepare_upload(io.BytesIO(bytes(2 * 1024 * 1024 + 1)))
    except ValueError as error:
        check("files: the client itself refuses more than 2 MiB", str(error), "File is larger than 2MB")
    else:
        tally.fail("files: the client itself refuses more than 2 MiB", "it did not")


def confirmed_files(client):
    """Without a word about it, the recipient's address is asked for before a file is shown."""
    content = f"For Rosa alone, {RUN}".encode()
    sent = client.send_email_notification(EMAIL, NEWS_TEMPLATE, {"name": prepare_upload(io.BytesIO(content), filename="letter.txt")})
    link = re.search(r"https?://\S+/d/[^\s,]+", sent["content"]["body"]).group()
    _, _, page, url = fetch(link)
    check_that("files: no link to the file yet", b"/file?" not in page and RUN.encode() not in page, page.decode())
    form = re.search(r'<form[^>]*method="post"[^>]*>', page.decode())
    check_that("files: the page asks for the address", form and b'name="email_address"' in page, page.decode())
    action = re.search(r'action="([^"]*)"', form.group())
    target = urllib.parse.urljoin(url, html.unescape(action.group(1))) if action else url
    for address, shown in (("stranger@example.com", False), (EMAIL.upper(), True)):
        _, _, page, url = fetch(target, urllib.parse.urlencode({"email_address": address}).encode())
        button = re.search(r'href="([^"]+/file\?[^"]+)"', page.decode())
        check(f"files: {address} is shown the file", button is not None, shown)
    _, _, downloaded, _ = fetch(urllib.parse.urljoin(url, html.unescape(button.group(1))))
    check("files: the confirmed file is as it was sent", downloaded, content)
