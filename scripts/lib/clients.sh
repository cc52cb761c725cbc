# shellcheck shell=bash
# What the official clients need, besides themselves, to be tried out against a running stack. Needs services.sh.

# client_stack USAGE [--state DIR]: uses what runs there, and takes its env over.
client_stack() {
  local usage=$1 state=$ROOT/.pillarbox
  shift
  if [[ ${1:-} == --state ]]; then state=${2:?} && shift 2; fi
  if (($#)); then
    say "$usage"
    exit 2
  fi
  use_state "$state"
  [[ -s $STATE_DIR/env ]] || fail "nothing runs in $STATE_DIR: scripts/run --detach first"
  # shellcheck source=/dev/null
  source "$STATE_DIR/env"
}

# limited_service: makes the service of limited_service.sql, new for each run, and exports what a client needs of it.
limited_service() {
  local control psql name type key
  control=$(dirname "$(readlink "/proc/$(<"$STATE_DIR/pids/api")/exe")")/pillarboxctl
  [[ -x $control ]] || fail "the api does not run in $STATE_DIR: scripts/run --detach first"
  psql=$(postgres_client) || fail "psql is missing; install postgresql-client, or run this as root or with passwordless sudo on Debian"
  for name in SERVICE_ID SMS_TEMPLATE_ID EMAIL_TEMPLATE_ID; do
    export "LIMITED_$name=$(</proc/sys/kernel/random/uuid)"
  done
  LIMITED_NUMBER=07$(printf '%05d%04d' "$((RANDOM % 100000))" "$((RANDOM % 10000))")
  export LIMITED_NUMBER
  "$psql" -X -q "$DATABASE_URL" -v service="$LIMITED_SERVICE_ID" -v sms_template="$LIMITED_SMS_TEMPLATE_ID" \
    -v email_template="$LIMITED_EMAIL_TEMPLATE_ID" -v number="$LIMITED_NUMBER" -f "$ROOT/scripts/e2e/limited_service.sql"
  for type in normal team test; do
    key=$("$control" key create --service "$LIMITED_SERVICE_ID" --name "Limited $type" --type "$type" 2>>"$STATE_DIR/logs/pillarboxctl.log")
    export "LIMITED_${type^^}_KEY=$key"
  done
}

# postgres_client: a psql, the server's or installed.
postgres_client() {
  local bin
  if bin=$(postgres_bin); then
    echo "$bin/psql"
  else
    command -v psql || { can_install && install_packages postgresql-client && command -v psql; }
  fi
}
