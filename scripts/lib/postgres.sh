# shellcheck shell=bash
# A private Postgres: found, or in a container; started, seen ready, stopped, wiped.

POSTGRES_IMAGE=postgres:16-alpine

# postgres_bin: the directory of the newest server on this machine.
postgres_bin() {
  local dir
  for dir in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -Vr) "$(pg_config --bindir 2>/dev/null)"; do
    if [[ -x $dir/postgres && -x $dir/initdb && -x $dir/psql ]]; then
      echo "$dir"
      return
    fi
  done
  return 1
}

# postgres_settings PROFILE: as arguments, one a line. `run` keeps Postgres's own durability, `test` gives it up for speed,
# `bench` keeps it and makes room, so that no checkpoint falls into a measurement.
postgres_settings() {
  local settings=(max_connections=200)
  case $1 in
    run) ;;
    test) settings+=(fsync=off synchronous_commit=off full_page_writes=off) ;;
    bench) settings+=(shared_buffers=1GB max_wal_size=8GB min_wal_size=2GB checkpoint_timeout=30min) ;;
    *) fail "unknown profile $1: run, test or bench" ;;
  esac
  printf -- '-c\n%s\n' "${settings[@]}"
}

# postgres_user: Postgres refuses to run as root. Data that are there already say whose they are.
postgres_user() {
  if ((EUID != 0)); then
    id -un
  elif [[ -d $STATE_DIR/postgres/data ]]; then
    stat -c %U "$STATE_DIR/postgres/data"
  elif id postgres >/dev/null 2>&1; then
    echo postgres
  else
    echo nobody
  fi
}

# postgres_as USER: sets AS_USER, the words to put before a command of that user. It starts from /, since the user may not be
# allowed into the checkout, and execs, so that the id stays.
postgres_as() {
  AS_USER=(env -C /)
  if ((EUID == 0)); then AS_USER+=(setpriv "--reuid=$1" "--regid=$(id -g "$1")" --init-groups --); fi
}

# postgres_home USER: makes the place of the data. It is postgres/ in the state directory, which is a link to a private
# directory under /var/tmp when the user of the server cannot get into the checkout (one under /root, say).
postgres_home() {
  local home=$STATE_DIR/postgres
  if [[ ! -e $home ]]; then
    if "${AS_USER[@]}" test -x "$STATE_DIR"; then
      rm -f "$home" # a link whose target was cleaned away
      mkdir -m 700 "$home"
    else
      ln -sfn "$(mktemp -d "/var/tmp/pillarbox-$(state_id)-XXXXXX")" "$home"
    fi
    if ((EUID == 0)); then chown "$1:" "$home/"; fi
  fi
}

# postgres_init BIN USER SECRET PROFILE: tests send the password as it is. With SCRAM libpq needs OpenSSL, whose clean-up at the
# end of a test's process races with the threads of a pool that are connecting then (sfackler/r2d2#137).
postgres_init() {
  local home auth=scram-sha-256
  if [[ $4 == test ]]; then auth=password; fi
  postgres_home "$2"
  home=$(readlink -f "$STATE_DIR/postgres")
  [[ ! -s $home/data/PG_VERSION || -e $home/password ]] || return 0
  rm -rf "$home/data" # an initdb that was interrupted left the password behind
  (umask 077 && printf '%s' "$3" >"$home/password")
  if ((EUID == 0)); then chown "$2:" "$home/password"; fi
  "${AS_USER[@]}" "$1/initdb" -D "$home/data" -U pillarbox --pwfile="$home/password" "--auth=$auth" \
    --encoding=UTF8 --no-locale --no-instructions >>"$STATE_DIR/logs/postgres.log" 2>&1 \
    || fail "initdb failed, see $STATE_DIR/logs/postgres.log"
  rm -f "$home/password"
}

# postgres_unlock DATA: a lock file whose number now belongs to a process that is no postmaster of these data would stop the
# start. (One whose process is gone is left: Postgres looks for survivors of a crash by it.)
postgres_unlock() {
  local pid
  pid=$(head -n1 "$1/postmaster.pid" 2>/dev/null) || return 0
  if [[ -e /proc/$pid ]] && ! grep -qzFx -- "$1" "/proc/$pid/cmdline" 2>/dev/null; then rm -f "$1/postmaster.pid"; fi
}

# postgres_launch PROFILE: starts it; postgres_await sees it ready.
postgres_launch() {
  local bin user data port secret settings
  bin=$(postgres_bin)
  user=$(postgres_user)
  secret=$(kept_secret "$STATE_DIR/services/postgres.secret" 16)
  postgres_as "$user"
  postgres_init "$bin" "$user" "$secret" "$1"
  data=$(readlink -f "$STATE_DIR/postgres")/data
  postgres_unlock "$data"
  port=$(free_port 0)
  mapfile -t settings < <(postgres_settings "$1")
  # No socket file: its path may be too long, and the port is enough.
  start_process postgres "${AS_USER[@]}" "$bin/postgres" -D "$data" -p "$port" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= "${settings[@]}"
  echo "postgres://pillarbox:$secret@127.0.0.1:$port/pillarbox" >"$STATE_DIR/services/postgres.url"
}

# postgres_await: ready, and with the database `pillarbox`.
postgres_await() {
  local bin url
  bin=$(postgres_bin)
  url=$(<"$STATE_DIR/services/postgres.url")
  await_process postgres 60 postgres_answers "$bin" "${url%/*}/postgres" || return 1
  "$bin/psql" -X -q -At "${url%/*}/postgres" -c "select 1 from pg_database where datname = 'pillarbox'" | grep -q 1 \
    || "$bin/psql" -X -q "${url%/*}/postgres" -c 'create database pillarbox'
}

postgres_answers() { "$1/psql" -X -q -At "$2" -c 'select' >/dev/null 2>&1; }

# postgres_stop: connections are cut, data are written ("fast").
postgres_stop() { stop_process postgres INT 60; }

postgres_wipe() {
  local home=$STATE_DIR/postgres
  if [[ -L $home ]]; then rm -rf "$(readlink "$home")"; fi
  rm -rf "$home" "$STATE_DIR"/services/postgres.*
}

# postgres_launch_docker PROFILE
postgres_launch_docker() {
  local name secret settings
  name=pillarbox-$(state_id)-postgres
  secret=$(kept_secret "$STATE_DIR/services/postgres.secret" 16)
  echo "$name" >"$STATE_DIR/services/postgres.container"
  mapfile -t settings < <(postgres_settings "$1")
  docker start "$name" >/dev/null 2>&1 \
    || docker run -d --name "$name" -p "127.0.0.1:$(free_port 0):5432" -e POSTGRES_USER=pillarbox \
      -e POSTGRES_PASSWORD="$secret" "$POSTGRES_IMAGE" "${settings[@]}" >/dev/null
  echo "postgres://pillarbox:$secret@$(docker port "$name" 5432/tcp | head -n1)/pillarbox" >"$STATE_DIR/services/postgres.url"
}

# The image first starts a server on a socket only, to prepare the data: TCP answers when that is over.
postgres_ready_docker() {
  docker exec "$(<"$STATE_DIR/services/postgres.container")" pg_isready -q -h 127.0.0.1 -U pillarbox >/dev/null 2>&1
}
