# shellcheck shell=bash
# Postgres and RabbitMQ together: where each comes from, start, stop, wipe, URLs.
#
# The order for each: the URL that the caller gives (used as it is, never stopped or wiped); a server on this machine,
# installed with apt if need be; a container; else a message. services/NAME.kind says what it came to: given, local, docker.

for part in state processes packages postgres rabbitmq; do
  # shellcheck source=/dev/null
  source "$(dirname "${BASH_SOURCE[0]}")/$part.sh"
done

# given_url NAME: the caller's URL for that service. One of a private instance (its env was sourced in this shell) is not the
# caller's: that instance may be gone, and another state directory must not meddle with it.
given_url() {
  local url=${DATABASE_URL:-} dir
  [[ $1 == postgres ]] || url=${AMQP_URL:-}
  for dir in "$ROOT"/.pillarbox{,/*} ${PILLARBOX_STATE_DIR:+"$PILLARBOX_STATE_DIR"}; do
    if grep -qsxF -- "$url" "$dir/services/$1.url" && ! grep -qsx given "$dir/services/$1.kind"; then url=; fi
  done
  echo "$url"
}

docker_answers() { command -v docker >/dev/null && timeout 20 docker version >/dev/null 2>&1; }

# choose_services: writes the kind of each, installing what is to be installed in one go.
choose_services() {
  local name missing=() packages
  for name in "$@"; do
    if [[ -n $(given_url "$name") ]]; then
      choose_service "$name" given
    elif "${name}_bin" >/dev/null; then
      choose_service "$name" local
    else
      missing+=("$name")
    fi
  done
  ((${#missing[@]})) || return 0
  if can_install; then
    packages=("${missing[@]/%postgres/postgresql}")
    install_packages "${packages[@]/%rabbitmq/rabbitmq-server}" || say "apt could not install them"
  fi
  for name in "${missing[@]}"; do
    if "${name}_bin" >/dev/null; then
      choose_service "$name" local
    elif docker_answers; then
      choose_service "$name" docker
    else
      fail "no $name: give its URL (DATABASE_URL for Postgres, AMQP_URL for RabbitMQ), or install it," \
        "or run this as root or with passwordless sudo on Debian, or start Docker"
    fi
  done
}

# choose_service NAME KIND
choose_service() { echo "$2" >"$STATE_DIR/services/$1.kind"; }

service_kind() { cat "$STATE_DIR/services/$1.kind" 2>/dev/null; }

# launch_services PROFILE NAME...: starts what does not run yet, and does not wait.
launch_services() {
  local profile=$1 name
  shift
  [[ -O $STATE_DIR ]] || fail "$STATE_DIR belongs to $(stat -c %U "$STATE_DIR"): run this as that user, or as that user scripts/stop --wipe and remove it"
  choose_services "$@"
  for name in "$@"; do
    case $(service_kind "$name") in
      given)
        say "$name: using the URL that was given"
        given_url "$name" >"$STATE_DIR/services/$name.url"
        ;;
      docker) "${name}_launch_docker" "$profile" ;;
      local) process_runs "$name" || "${name}_launch" "$profile" ;;
    esac
  done
}

# await_services NAME...: until each answers.
await_services() {
  local name try
  for name in "$@"; do
    case $(service_kind "$name") in
      local) "${name}_await" || fail "$name did not start" ;;
      docker)
        for ((try = 0; try < 240; try++)); do
          if "${name}_ready_docker"; then continue 2; fi
          sleep 0.5
        done
        fail "the $name container is not ready after two minutes: docker logs $(<"$STATE_DIR/services/$name.container")"
        ;;
    esac
  done
}

# stop_services NAME...: whatever of ours runs, be it chosen now or by an earlier start.
stop_services() {
  local name container
  for name in "$@"; do
    "${name}_stop"
    container=$(cat "$STATE_DIR/services/$name.container" 2>/dev/null) || continue
    docker stop "$container" >/dev/null 2>&1 || say "could not stop the container $container"
  done
}

# wipe_services NAME...: their data too.
wipe_services() {
  local name container
  for name in "$@"; do
    if container=$(cat "$STATE_DIR/services/$name.container" 2>/dev/null); then
      docker rm -f -v "$container" >/dev/null 2>&1 || true
    fi
    "${name}_wipe"
  done
}

# services_env: export lines.
services_env() {
  printf 'export DATABASE_URL=%q\n' "$(<"$STATE_DIR/services/postgres.url")"
  printf 'export AMQP_URL=%q\n' "$(<"$STATE_DIR/services/rabbitmq.url")"
}
