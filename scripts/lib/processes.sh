# shellcheck shell=bash
# Processes by pid file. A pid file counts only while its process carries our state directory in its environment: after a
# crash or a reboot the number may belong to somebody else's process, which must be neither trusted nor ended.

# start_process NAME COMMAND...: in a session of its own (Ctrl-C reaches only the script, which then ends everything in
# order), with its output in logs/NAME.log.
start_process() {
  local name=$1 pid try
  shift
  PILLARBOX_STATE_DIR=$STATE_DIR setsid "$@" </dev/null >>"$STATE_DIR/logs/$name.log" 2>&1 9>&- &
  pid=$!
  disown "$pid" # or bash would comment on its end
  echo "$pid" >"$STATE_DIR/pids/$name"
  # Until its exec the child still shows our own environment; gone altogether is for the caller to notice.
  for ((try = 0; try < 100; try++)); do
    if process_runs "$name" || ! kill -0 "$pid" 2>/dev/null; then return 0; fi
    sleep 0.02
  done
}

# process_runs NAME
process_runs() {
  local pid
  pid=$(cat "$STATE_DIR/pids/$1" 2>/dev/null) || return 1
  [[ $pid =~ ^[0-9]+$ ]] && grep -qzFx "PILLARBOX_STATE_DIR=$STATE_DIR" "/proc/$pid/environ" 2>/dev/null
}

# signal_process NAME SIGNAL: when it runs.
signal_process() {
  if process_runs "$1"; then kill -s "$2" "$(cat "$STATE_DIR/pids/$1")" 2>/dev/null || true; fi
}

# await_exit NAME SECONDS: then it is killed, which is said.
await_exit() {
  local waited
  for ((waited = 0; waited < $2 * 10; waited++)); do
    process_runs "$1" || break
    sleep 0.1
  done
  if process_runs "$1"; then
    say "$1 did not end within $2 s: killed"
    signal_process "$1" KILL
    for ((waited = 0; waited < 50; waited++)); do
      process_runs "$1" || break
      sleep 0.1
    done
  fi
  rm -f "$STATE_DIR/pids/$1"
}

# stop_process NAME SIGNAL SECONDS
stop_process() {
  signal_process "$1" "$2"
  await_exit "$1" "$3"
}

# await_process NAME SECONDS CHECK...: until CHECK succeeds; fails at once when the process has ended.
await_process() {
  local name=$1 limit=$2 deadline=$((SECONDS + $2))
  shift 2
  until "$@"; do
    if ! process_runs "$name"; then
      say "$name ended while starting; its last lines ($STATE_DIR/logs/$name.log):"
      tail -n 15 "$STATE_DIR/logs/$name.log" >&2
      return 1
    fi
    if ((SECONDS >= deadline)); then
      say "$name is not ready after $limit s; its last lines ($STATE_DIR/logs/$name.log):"
      tail -n 15 "$STATE_DIR/logs/$name.log" >&2
      return 1
    fi
    sleep 0.1
  done
}
