# shellcheck shell=bash
# Pillarbox itself: built, configured, started, seen ready, stopped. Needs services.sh.

# What takes part in delivering, in the order in which it is told to drain.
STACK=(api delivery-worker scheduler)

# stack_binaries dev|release: sets BIN, where they are, and BUILD, the command that makes them. Only those that run here, so
# that a fresh clone is up soon.
stack_binaries() {
  local name
  BUILD=(cargo build --locked --manifest-path "$ROOT/Cargo.toml" --profile "$1" --bins)
  for name in "${STACK[@]}" simulator pillarboxctl; do BUILD+=(-p "$name"); done
  BIN=${CARGO_TARGET_DIR:-$ROOT/target}/${1/#dev/debug}
}

# stack_configure: writes env, and takes it over. One more process started by hand from it finds its port taken and moves on.
stack_configure() {
  local api simulator smtp inbound receipts clients
  api=127.0.0.1:$(free_port 4)
  simulator=127.0.0.1:$(free_port 7)
  smtp=127.0.0.1:$(free_port 8)
  inbound=$(kept_secret "$STATE_DIR/secrets/inbound" 24)
  receipts=$(kept_secret "$STATE_DIR/secrets/receipts" 24)
  # Each may do what it is there for.
  clients=notify-admin:$(kept_secret "$STATE_DIR/secrets/internal" 24)
  clients+=,deliverer:$(kept_secret "$STATE_DIR/secrets/deliverer" 24)
  clients+=,dashboards:$(kept_secret "$STATE_DIR/secrets/dashboards" 24)
  (umask 077 && : >"$STATE_DIR/env")
  {
    services_env
    export_lines \
      PILLARBOX_STATE_DIR="$STATE_DIR" \
      NOTIFY_API_URL="http://$api" \
      SIMULATOR_URL="http://$simulator" \
      PILLARBOX__API__LISTEN="$api" \
      PILLARBOX__API__CLOSING_NOTICE=0s \
      PILLARBOX__WORKER__HEALTH_LISTEN="127.0.0.1:$(free_port 5)" \
      PILLARBOX__SCHEDULER__HEALTH_LISTEN="127.0.0.1:$(free_port 6)" \
      PILLARBOX__LISTEN__NEXT_FREE_PORT=true \
      PILLARBOX__SEALING__KEYS="1:$(kept_secret "$STATE_DIR/secrets/sealing" 32)" \
      PILLARBOX__INTERNAL__CLIENTS="$clients" \
      PILLARBOX__INTERNAL__SCOPES=notify-admin:admin,deliverer:deliver,dashboards:read \
      PILLARBOX__API__RECEIPT_USER=receipts \
      PILLARBOX__API__RECEIPT_PASSWORD="$receipts" \
      PILLARBOX__PROVIDERS__MMG__RECEIPT_USER=receipts \
      PILLARBOX__PROVIDERS__MMG__RECEIPT_PASSWORD="$receipts" \
      PILLARBOX__PROVIDERS__FIRETEXT__RECEIPT_USER=receipts \
      PILLARBOX__PROVIDERS__FIRETEXT__RECEIPT_PASSWORD="$receipts" \
      SIMULATOR_MAIL_RECEIPT_URL="http://receipts:$receipts@$api/notifications/email/ses" \
      PILLARBOX__API__INBOUND_MMG_USERS=mmg \
      PILLARBOX__API__INBOUND_MMG_PASSWORDS="$inbound" \
      PILLARBOX__API__INBOUND_FIRETEXT_PASSWORDS="$inbound" \
      SIMULATOR_MMG_INBOUND_URL="http://mmg:$inbound@$api/notifications/sms/receive/mmg" \
      SIMULATOR_FIRETEXT_INBOUND_URL="http://notify:$inbound@$api/notifications/sms/receive/firetext" \
      PILLARBOX__PROVIDERS__MMG__URL="http://$simulator/mmg" \
      PILLARBOX__PROVIDERS__MMG__KEY=simulated \
      PILLARBOX__PROVIDERS__MMG__RECEIPT_URL="http://$api/notifications/sms/mmg" \
      PILLARBOX__PROVIDERS__FIRETEXT__URL="http://$simulator/firetext" \
      PILLARBOX__PROVIDERS__FIRETEXT__KEY=simulated \
      PILLARBOX__PROVIDERS__FIRETEXT__RECEIPT_URL="http://$api/notifications/sms/firetext" \
      PILLARBOX__PROVIDERS__SMTP__URL="smtp://$smtp" \
      PILLARBOX__PROVIDERS__SMTP__ACCEPT_UNSIGNED_RECEIPTS=true # the simulator cannot sign as Amazon does
  } >>"$STATE_DIR/env"
  stack_environment
}

# export_lines NAME=value...
export_lines() {
  local pair
  for pair in "$@"; do printf 'export %s=%q\n' "${pair%%=*}" "${pair#*=}"; done
}

stack_environment() {
  # shellcheck source=/dev/null
  source "$STATE_DIR/env"
}

# stack_seed [ARGS for `pillarboxctl seed`]: schema, demo service, keys and templates; their ids go into env.
stack_seed() {
  local lines
  "$BIN/pillarboxctl" migrate >>"$STATE_DIR/logs/pillarboxctl.log" 2>&1 \
    || fail "the migration failed, see $STATE_DIR/logs/pillarboxctl.log"
  lines=$("$BIN/pillarboxctl" seed --env "$@" 2>>"$STATE_DIR/logs/pillarboxctl.log") \
    || fail "seeding failed, see $STATE_DIR/logs/pillarboxctl.log"
  mapfile -t lines <<<"$lines"
  export_lines "${lines[@]}" >>"$STATE_DIR/env"
  stack_environment
}

# stack_start: all of it, each seen ready. Here a taken port is an error: the others were told these.
stack_start() {
  local name
  export PILLARBOX__LISTEN__NEXT_FREE_PORT=false
  start_process simulator "$BIN/simulator" --http "${SIMULATOR_URL#http://}" \
    --smtp "${PILLARBOX__PROVIDERS__SMTP__URL#smtp://}"
  for name in "${STACK[@]}"; do start_process "$name" "$BIN/$name"; done
  export PILLARBOX__LISTEN__NEXT_FREE_PORT=true
  await_process simulator 30 http_answers "$SIMULATOR_URL/" || fail "the simulator did not start"
  await_process api 60 http_answers "$NOTIFY_API_URL/_status?simple=1" || fail "the api did not start"
  await_process delivery-worker 60 http_answers "http://$PILLARBOX__WORKER__HEALTH_LISTEN/readyz" \
    || fail "the delivery-worker did not start"
  await_process scheduler 60 http_answers "http://$PILLARBOX__SCHEDULER__HEALTH_LISTEN/readyz" \
    || fail "the scheduler did not start"
}

# http_answers URL: with 200. By hand, since a fresh machine has no curl.
http_answers() {
  local rest=${1#http://}
  # shellcheck disable=SC2016 # expanded by the inner shell
  timeout 5 bash -c 'exec 3<>"/dev/tcp/$1/$2" && printf "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n" "$3" >&3 \
    && read -r line <&3 && [[ $line == *" 200 "* ]]' get "${rest%%:*}" "$(port_of "$rest")" "/${rest#*/}" 2>/dev/null
}

# port_of HOST:PORT/PATH
port_of() {
  local rest=${1#*:}
  echo "${rest%%/*}"
}

# stack_names: what of it runs.
stack_names() {
  local name
  for name in "${STACK[@]}" simulator; do
    if process_runs "$name"; then echo "$name"; fi
  done
}

# stack_stop: api, worker and scheduler drain together, while the provider still answers; then the provider.
stack_stop() {
  local name
  for name in "${STACK[@]}"; do signal_process "$name" TERM; done
  for name in "${STACK[@]}"; do await_exit "$name" 45; done
  stop_process simulator TERM 10
  rm -f "$STATE_DIR/env"
}
