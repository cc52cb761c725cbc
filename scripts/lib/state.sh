# shellcheck shell=bash
# Where this checkout keeps what it runs (the state directory), and how the scripts speak.
#
# A state directory holds one private set of services and processes:
#   env              what a process needs, ready to source (only while running)
#   pids/NAME        the id of each process, logs/NAME.log what it said
#   services/        how Postgres and RabbitMQ were come by, their URLs, ports and passwords
#   secrets/         sealing key, internal client and the providers' passwords, made once
#   postgres rabbitmq   the data
# Several may exist side by side: .pillarbox (scripts/run), .pillarbox/test (scripts/test), .pillarbox/bench.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
STATE_DIR=$ROOT/.pillarbox

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

# use_state DIR: from here on everything is about that state directory.
use_state() {
  # Open to traverse, not to read: Postgres may run as another user, whose data lie inside.
  mkdir -p "$ROOT/.pillarbox" "$1"
  STATE_DIR=$(cd "$1" && pwd -P)
  chmod 711 "$ROOT/.pillarbox" "$STATE_DIR"
  mkdir -p "$STATE_DIR"/{pids,logs,services,secrets}
  chmod 700 "$STATE_DIR"/{services,secrets}
}

# random_hex BYTES
random_hex() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

# kept_secret FILE BYTES: the secret in FILE, made the first time.
kept_secret() {
  [[ -s $1 ]] || (umask 077 && random_hex "$2" >"$1")
  cat "$1"
}

# state_id: a short name for the state directory that no other checkout has.
state_id() { printf '%s' "$STATE_DIR" | cksum | cut -d' ' -f1; }

# free_port ROLE: a free port on 127.0.0.1. Each state directory has its own fifty ports to begin with, and each role
# (0 to 9) its own last digit, so that what is started at the same time does not reach for the same port. The range ends
# below the ports that the kernel hands out to clients.
free_port() {
  local base try port
  base=$(($(state_id) % 440 * 50))
  for ((try = 0; try < 2200; try++)); do
    port=$((10000 + (base + try * 10) % 22000 + $1))
    if ! port_answers "$port"; then
      echo "$port"
      return
    fi
  done
  fail "no free port between 10000 and 32000"
}

port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
