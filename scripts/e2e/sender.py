"""A caller that sends as fast as it can, or at a rate, and remembers every promise: the id of each 201."""

import base64
import collections
import hashlib
import hmac
import http.client
import itertools
import json
import threading
import time
import urllib.parse

ANSWER_WITHIN_SECONDS = 40
RETRY_PAUSE_SECONDS = 0.05


def sign(issuer, secret, at=None):
    """A token as the official clients make it (contract: authentication, section 2)."""
    claims = {"iss": issuer, "iat": int(time.time() if at is None else at)}

    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    signed = b".".join(part(json.dumps(value).encode()) for value in ({"typ": "JWT", "alg": "HS256"}, claims))
    signature = part(hmac.new(secret.encode(), signed, hashlib.sha256).digest())
    return (signed + b"." + signature).decode()


def split_key(key):
    """Service id and secret of an API key: sliced from its right-hand end, as the official clients do."""
    return key[-73:-37], key[-36:]


def internal_client(env, name):
    """Name and secret of one of the internal API's clients."""
    clients = dict(entry.split(":", 1) for entry in env["PILLARBOX__INTERNAL__CLIENTS"].split(","))
    return name, clients[name]


class Caller:
    """One keep-alive connection that is made again after it broke. Belongs to one thread."""

    def __init__(self, url, issuer, secret):
        self.address = urllib.parse.urlsplit(url).netloc
        self.issuer, self.secret = issuer, secret
        self.connection = None
        self.token, self.token_until = None, 0.0

    def authorization(self):
        if time.monotonic() > self.token_until:
            self.token, self.token_until = sign(self.issuer, self.secret), time.monotonic() + 5
        return f"Bearer {self.token}"

    def get(self, path, **more_headers):
        return self._call("GET", path, None, more_headers)

    def post(self, path, body=None, **more_headers):
        return self._call("POST", path, body, more_headers)

    def _call(self, method, path, body, more_headers):
        """Status and body of the answer; OSError or HTTPException when there is none."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.address, timeout=ANSWER_WITHIN_SECONDS)
        headers = {"Authorization": self.authorization(), "Content-Type": "application/json", **more_headers}
        try:
            self.connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = self.connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if answer.will_close:
            self.close()
        return answer.status, content

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Sender:
    """Sends texts and e-mails in turn over several connections until it is stopped, or `quota` of them were asked for."""

    def __init__(self, env, connections=16, rate=None, quota=None, channels=("email", "sms")):
        self.env, self.rate, self.quota, self.channels = env, rate, quota, channels
        self.accepted = []  # ids; appending is atomic
        self.failures = collections.Counter()  # status, or the name of the exception
        self.slowest = 0.0
        self.answers = []  # when it was asked for (time.monotonic()), how long it took, and whether it was a 201
        self.lock = threading.Lock()
        self.numbers = itertools.count()
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(connections)]

    def start(self):
        self.started = time.monotonic()
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        """Stops asking, and waits for the answers that are still to come."""
        self.stopped.set()
        return self.wait()

    def wait(self):
        for thread in self.threads:
            thread.join()
        return self

    def unanswered(self):
        """Requests that ended without an answer."""
        return sum(count for reason, count in self.failures.items() if not isinstance(reason, int))

    def _run(self):
        caller = Caller(self.env["NOTIFY_API_URL"], *split_key(self.env["API_KEY"]))
        while not self.stopped.is_set():
            with self.lock:
                number = next(self.numbers)
            if self.quota is not None and number >= self.quota:
                break
            if self.rate and self.stopped.wait(max(0.0, self.started + number / self.rate - time.monotonic())):
                break
            self._send(caller, number)
        caller.close()

    def _send(self, caller, number):
        channel = self.channels[number % len(self.channels)]
        recipient, template = {
            "sms": ({"phone_number": self.env["FUNCTIONAL_TEST_NUMBER"]}, self.env["SMS_TEMPLATE_ID"]),
            "email": ({"email_address": self.env["FUNCTIONAL_TEST_EMAIL"]}, self.env["EMAIL_TEMPLATE_ID"]),
        }[channel]
        body = {**recipient, "template_id": template, "personalisation": {"name": f"number {number}"}}
        asked = time.monotonic()
        try:
            status, content = caller.post(f"/v2/notifications/{channel}", body)
        except (OSError, http.client.HTTPException) as error:
            self._failed(type(error).__name__)
            return
        took = time.monotonic() - asked
        with self.lock:
            self.slowest = max(self.slowest, took)
            self.answers.append((asked, took, status == 201))
        if status == 201:
            self.accepted.append(json.loads(content)["id"])
        else:
            self._failed(status)

    def _failed(self, reason):
        with self.lock:
            self.failures[reason] += 1
        self.stopped.wait(RETRY_PAUSE_SECONDS)
