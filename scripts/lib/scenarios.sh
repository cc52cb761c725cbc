# shellcheck shell=bash
# Scenarios: private services, and a Python program that starts and ends processes on them. Sourced by scripts/crashes and
# scripts/memory, which say `run_scenarios NAME "$@"`; scripts/e2e/NAME.py has them.
# shellcheck source=scripts/lib/services.sh
source "$(dirname "${BASH_SOURCE[0]}")/services.sh"
# shellcheck source=scripts/lib/stack.sh
source "$ROOT/scripts/lib/stack.sh"

usage() {
  sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

end_all() {
  local status=$? file
  trap '' INT TERM HUP
  trap - EXIT
  set +e
  if [[ $child ]]; then
    kill -TERM "$child" 2>/dev/null
    wait "$child" 2>/dev/null
  fi
  signal_process rabbitmq CONT # one that was being held up could not be stopped
  for file in "$STATE_DIR"/pids/*; do
    case ${file##*/} in postgres | rabbitmq | epmd | '*') ;; *) stop_process "${file##*/}" KILL 10 ;; esac
  done
  stop_services rabbitmq postgres
  rm -f "$STATE_DIR/env"
  if ((status == 0)); then
    wipe_services rabbitmq postgres
    rm -rf "$STATE_DIR"/{logs,secrets}
  else
    say "logs are in $STATE_DIR/logs"
  fi
  exit "$status"
}

# run_scenarios NAME ARGS...
run_scenarios() {
  local suite=$1
  shift
  arguments=() state=$ROOT/.pillarbox/$suite binaries=''
  while (($#)); do
    case $1 in
      --only) arguments+=(--only "${2:?}") && shift ;;
      --quick) arguments+=(--quick) ;;
      --state) state=${2:?} && shift ;;
      --bin) binaries=${2:?} && shift ;;
      *) usage ;;
    esac
    shift
  done
  use_state "$state"

  exec 9>>"$STATE_DIR/lock"
  flock -n 9 || fail "already running in $STATE_DIR (process $(<"$STATE_DIR/lock")): scripts/stop --state $STATE_DIR ends it"
  echo "$$" >"$STATE_DIR/lock"

  # What the caller's shell says about a running stack is not about this one; and what is killed here must be our own.
  local variable
  for variable in $(compgen -e | grep -E '^PILLARBOX_' || true); do unset "$variable"; done
  unset DATABASE_URL AMQP_URL

  child=
  trap end_all EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP

  # A run that was cut off may have left a server without its data, or data without their server.
  stop_services rabbitmq postgres
  wipe_services rabbitmq postgres
  rm -rf "$STATE_DIR"/{logs,pids,secrets}
  use_state "$state"

  command -v python3 >/dev/null || { can_install && install_packages python3; } || fail "python3 is missing"
  launch_services run postgres rabbitmq
  if [[ $binaries ]]; then
    BIN=$binaries
  else
    ensure_build_tools
    stack_binaries dev
    "${BUILD[@]}" </dev/null
  fi
  await_services postgres rabbitmq

  python3 -B "$ROOT/scripts/e2e/$suite.py" --state "$STATE_DIR" --binaries "$BIN" "${arguments[@]}" </dev/null 9>&- &
  child=$!
  wait "$child" || {
    status=$?
    child=
    exit "$status"
  }
  child=
}
