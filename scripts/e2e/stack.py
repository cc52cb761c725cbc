"""A private Pillarbox to break: Postgres and RabbitMQ through scripts/lib, everything else started here, so that exit codes are
known. Each scenario has its own database, broker prefix, processes and logs on the same two servers."""

import collections
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.error
import urllib.request
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]

LIBRARY = """
set -euo pipefail
source "$0/scripts/lib/services.sh"
source "$0/scripts/lib/stack.sh"
use_state "$1"
BIN=$2
shift 2
"$@"
"""

READY_WITHIN_SECONDS = 60
# The drain time of the processes, and a little for the end itself.
EXIT_WITHIN_SECONDS = 35
# What a lost message costs at most: the sweep takes it for lost after 60 s. The rest is for slow machines.
SETTLED_WITHIN_SECONDS = 240


class Failure(Exception):
    """Something that must hold does not."""


def require(holds, what):
    if not holds:
        raise Failure(what)


def until(what, seconds, check, pause=0.1):
    """Polls; whatever `check` answers that is true is returned."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        require(time.monotonic() < deadline, f"{what}: not within {seconds} s")
        time.sleep(pause)
    return found


def get(url):
    """Status and JSON (None if it is none), or None when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            content = answer.read()
    except urllib.error.HTTPError as error:
        return error.code, None
    except OSError:
        return None
    try:
        return 200, json.loads(content)
    except ValueError:
        return 200, None


class Services:
    """The two servers."""

    def __init__(self, state, binaries):
        self.state, self.binaries = pathlib.Path(state).resolve(), pathlib.Path(binaries).resolve()
        self.psql = self.library("postgres_bin") + "/psql"

    def library(self, *words):
        """Calls a function of scripts/lib; what it prints is returned."""
        done = subprocess.run(["bash", "-c", LIBRARY, ROOT, self.state, self.binaries, *words],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        require(done.returncode == 0, f"{' '.join(words)} failed: {done.stderr.strip()}")
        return done.stdout.strip()

    def start(self, name):
        """Starts it where it was before; the processes know no other place."""
        before = self.url(name)
        self.library("launch_services", "run", name)
        self.library("await_services", name)
        require(before in (None, self.url(name)), f"the port of {name} was taken meanwhile by somebody else")

    def url(self, name):
        file = self.state / "services" / f"{name}.url"
        return file.read_text().strip() if file.exists() else None

    def signal(self, name, sent):
        os.kill(int((self.state / "pids" / name).read_text()), sent)

    def end(self, name, sent):
        """Ends it with that signal and waits."""
        self.signal(name, sent)
        self.library("await_exit", name, "30")

    def is_ours(self, name):
        """Whether it is a process on this machine that may be ended: neither a container nor somebody's server."""
        return (self.state / "services" / f"{name}.kind").read_text().strip() == "local"


class Stack:
    """One scenario's Pillarbox."""

    def __init__(self, services, name):
        self.services, self.name = services, name
        self.processes = {}
        self._configure()

    def _configure(self):
        services, word = self.services, "crash_" + "".join(c if c.isalnum() else "_" for c in self.name)
        for server in ("postgres", "rabbitmq"):
            services.start(server)
        base = services.url("postgres").rsplit("/", 1)[0]
        self._psql(f"{base}/postgres", f"drop database if exists {word} with (force)")
        self._psql(f"{base}/postgres", f"create database {word}")
        services.library("stack_configure")
        own = {
            "DATABASE_URL": f"{base}/{word}",
            "PILLARBOX__BROKER__PREFIX": word,
            "PILLARBOX__WORKER__LEASE": "10s",
            "PILLARBOX__API__DELIVERY_LEASE": "10s",
            # Less than there is to do: at every moment some are in a provider's hands, some in the worker's, some wait.
            "PILLARBOX__WORKER__SMS_IN_FLIGHT": "200",
            "PILLARBOX__WORKER__EMAIL_IN_FLIGHT": "100",
            "PILLARBOX__LISTEN__NEXT_FREE_PORT": "false",
        }
        with (services.state / "env").open("a") as env:
            env.writelines(f"export {name}={value}\n" for name, value in own.items())
        services.library("eval", "stack_environment && stack_seed --without-limits")
        variables = services.library("eval", "set -a && stack_environment && env -0")
        self.env = dict(line.split("=", 1) for line in variables.split("\0") if "=" in line)
        self.env["PILLARBOX_STATE_DIR"] = str(services.state)

    # Processes

    def start(self, name, binary=None, arguments=(), ready=None, **env):
        """Starts a process in a session of its own; scripts/stop would find it by its pid file."""
        log = (self.services.state / "logs" / f"{self.name}-{name}.log").open("ab")
        process = subprocess.Popen([self.services.binaries / (binary or name), *arguments], stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, env={**self.env, **env}, start_new_session=True)
        log.close()
        (self.services.state / "pids" / name).write_text(f"{process.pid}\n")
        self.processes[name] = process
        if ready:
            def is_ready():
                require(process.poll() is None, f"{name} ended while starting with {process.returncode}, see {log.name}")
                return (get(ready) or [0])[0] == 200

            until(f"{name} is ready", READY_WITHIN_SECONDS, is_ready)

    def start_simulator(self, keep=100000, mail_limit=4194304):
        self.start("simulator", arguments=[
            "--http", self.env["SIMULATOR_URL"].removeprefix("http://"),
            "--smtp", self.env["PILLARBOX__PROVIDERS__SMTP__URL"].removeprefix("smtp://"),
            "--record-all", "--keep", str(keep), "--mail-limit", str(mail_limit),
        ], ready=self.env["SIMULATOR_URL"] + "/healthz")

    def start_api(self):
        self.start("api", ready=self.env["NOTIFY_API_URL"] + "/_status?simple=1")

    def start_another_api(self):
        """Answers its URL."""
        listen = "127.0.0.1:" + self.services.library("free_port", "8")
        self.start("api-2", "api", ready=f"http://{listen}/_status?simple=1", PILLARBOX__API__LISTEN=listen)
        return f"http://{listen}"

    def start_scheduler(self, name="scheduler"):
        listen = self.env["PILLARBOX__SCHEDULER__HEALTH_LISTEN"]
        if name != "scheduler":
            listen = "127.0.0.1:" + self.services.library("free_port", "9")
        self.start(name, "scheduler", ready=f"http://{listen}/readyz", PILLARBOX__SCHEDULER__HEALTH_LISTEN=listen)

    def leads(self, scheduler):
        """Whether that one said so, and nothing else since."""
        said = [line for line in self.log(scheduler).splitlines() if "leading" in line]
        return bool(said) and "no longer leading" not in said[-1]

    def log(self, name):
        return (self.services.state / "logs" / f"{self.name}-{name}.log").read_text(errors="replace")

    def another_tenant(self):
        """The environment of a second service, which may send as much as the first and has the same templates."""
        largest = str(2**31 - 1)
        code, service, complaint = self.control("service", "create", "--name", "Another tenant", "--live", "--rate-limit", largest,
                                                "--sms-message-limit", largest, "--email-message-limit", largest)
        require(code == 0, complaint)
        code, key, complaint = self.control("key", "create", "--service", service, "--name", "Key", "--type", "normal")
        require(code == 0, complaint)
        templates = {}
        for name in ("SMS_TEMPLATE_ID", "EMAIL_TEMPLATE_ID"):
            copy, original = str(uuid.uuid4()), self.env[name]
            self.sql(f"create temp table t as select * from templates where id = '{original}';"
                     f" create temp table v as select * from template_versions where template_id = '{original}';"
                     f" update t set id = '{copy}', service_id = '{service}'; update v set template_id = '{copy}';"
                     " insert into templates select * from t; insert into template_versions select * from v")
            templates[name] = copy
        return {**self.env, **templates, "API_KEY": key}

    def start_worker(self, name="delivery-worker", **env):
        listen = self.env["PILLARBOX__WORKER__HEALTH_LISTEN"]
        if name != "delivery-worker":
            listen = "127.0.0.1:" + self.services.library("free_port", "9")
        self.start(name, "delivery-worker", ready=f"http://{listen}/readyz", PILLARBOX__WORKER__HEALTH_LISTEN=listen, **env)

    def start_all(self, workers=1):
        self.start_simulator()
        self.start_api()
        self.start_scheduler()
        for worker in ["delivery-worker", "delivery-worker-2"][:workers]:
            self.start_worker(worker)

    def most_memory(self, name):
        """The most that a process has held so far, in MB."""
        status = pathlib.Path(f"/proc/{self.processes[name].pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1000

    def kill(self, name):
        """As a machine that loses its power would."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def signal(self, name, sent):
        self.processes[name].send_signal(sent)

    def terminate(self, *names):
        """SIGTERM to all at once; each must have drained, with 0, within the time for it. Answers the seconds it took."""
        started = time.monotonic()
        ending = {name: self.processes.pop(name) for name in names}
        for process in ending.values():
            process.terminate()
        late = []
        for name, process in ending.items():
            try:
                process.wait(max(0.1, started + EXIT_WITHIN_SECONDS - time.monotonic()))
            except subprocess.TimeoutExpired:
                late.append(name)
                process.kill()
                process.wait()
        require(not late, f"not drained within {EXIT_WITHIN_SECONDS} s of SIGTERM: {', '.join(late)}")
        codes = {name: process.returncode for name, process in ending.items()}
        require(not any(codes.values()), f"SIGTERM must end in exit code 0: {codes}")
        return time.monotonic() - started

    def close(self):
        """What still runs is killed."""
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.processes.clear()

    def require_no_panic(self):
        for log in sorted((self.services.state / "logs").glob(f"{self.name}-*.log")):
            require("panicked" not in log.read_text(errors="replace"), f"something panicked, see {log}")

    # What is known outside of it

    def _psql(self, url, statement):
        done = subprocess.run([self.services.psql, "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", url, "-c", statement],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        require(done.returncode == 0, f"psql: {done.stderr.strip()}")
        return done.stdout.split("\n")[:-1]

    def sql(self, statement):
        """The rows as lines."""
        return self._psql(self.env["DATABASE_URL"], statement)

    def control(self, *words):
        """Runs pillarboxctl; answers its exit code, what it printed, and what it complained about."""
        done = subprocess.run([self.services.binaries / "pillarboxctl", *words], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, env=self.env)
        return done.returncode, done.stdout.strip(), done.stderr.strip()

    def behave(self, **change):
        """Changes how the providers behave (the simulator's page tells the fields)."""
        request = urllib.request.Request(self.env["SIMULATOR_URL"] + "/control", json.dumps(change).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=30):
            pass

    def counts(self):
        return get(self.env["SIMULATOR_URL"] + "/counts.json")[1]

    def in_flight(self):
        return int(self.sql("select count(*) from notifications where status in ('created', 'sending', 'pending')")[0])

    def leased(self):
        """Ids that somebody has in hand."""
        return set(self.sql("select subject_id from due where lease is not null and kind <> 'apply_receipt'"))

    def taken_by_providers(self):
        """How often each notification was taken, by id."""
        _, messages = get(self.env["SIMULATOR_URL"] + "/messages.json")
        taken = [message["reference"].split("@")[0] for message in messages if message["outcome"] == "accepted"]
        return collections.Counter(taken)

    def settle(self):
        """Waits until everything is final; then the audit must balance. Answers what it counted."""
        code, out, complaint = self.control("audit", "--wait-settled", f"{SETTLED_WITHIN_SECONDS}s", "--json")
        require(code == 0, f"audit: {complaint} {out}")
        return json.loads(out)
