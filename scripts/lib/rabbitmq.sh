# shellcheck shell=bash
# A private RabbitMQ: found, or in a container; started, seen ready, stopped, wiped. It has its own epmd (Erlang's name
# server), so that neither a broker of the machine nor a second checkout is touched by it.

RABBITMQ_IMAGE=rabbitmq:3-alpine

# rabbitmq_bin: the directory of the real scripts. Debian's wrapper on the PATH only lets root and its own user in.
rabbitmq_bin() {
  local dir
  for dir in /usr/lib/rabbitmq/bin $(printf '%s\n' /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin | sort -Vr) \
    /opt/rabbitmq/sbin; do
    if [[ -x $dir/rabbitmq-server ]] && command -v erl >/dev/null && command -v epmd >/dev/null; then
      echo "$dir"
      return
    fi
  done
  return 1
}

# rabbitmq_url HOST:PORT SECRET
rabbitmq_url() { echo "amqp://pillarbox:$2@$1/%2f"; }

# rabbitmq_configure PORT SECRET
rabbitmq_configure() {
  local home=$STATE_DIR/rabbitmq
  [[ -e $home ]] || mkdir -m 700 "$home"
  : >"$home/env.conf"
  echo '[].' >"$home/enabled_plugins"
  (umask 077 && kept_secret "$home/.erlang.cookie" 20 >/dev/null)
  chmod 400 "$home/.erlang.cookie"
  (
    umask 077
    cat >"$home/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$1
default_user = pillarbox
default_pass = $2
log.console = true
log.file = false
# The defaults of a server that has the machine to itself would stop publishers on a laptop with a full disk.
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.relative = 0.4
CONF
  )
}

# rabbitmq_environment EPMD_PORT DIST_PORT: one NAME=value a line; for the server and for rabbitmqctl.
rabbitmq_environment() {
  local home=$STATE_DIR/rabbitmq
  printf '%s\n' HOME="$home" \
    ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="$1" \
    RABBITMQ_NODENAME="pillarbox-$(state_id)@localhost" RABBITMQ_DIST_PORT="$2" \
    RABBITMQ_CONF_ENV_FILE="$home/env.conf" RABBITMQ_CONFIG_FILE="$home/rabbitmq" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$home/enabled_plugins" \
    RABBITMQ_MNESIA_BASE="$home/mnesia" RABBITMQ_LOG=info,-color RABBITMQ_LOG_BASE="$STATE_DIR/logs" RABBITMQ_PID_FILE="$home/pid" \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"
}

# rabbitmq_launch: starts it; rabbitmq_await sees it ready.
rabbitmq_launch() {
  local bin port secret epmd_port variables
  bin=$(rabbitmq_bin)
  port=$(free_port 1)
  secret=$(kept_secret "$STATE_DIR/services/rabbitmq.secret" 16)
  rabbitmq_configure "$port" "$secret"
  if ! process_runs epmd; then
    epmd_port=$(free_port 2)
    echo "$epmd_port" >"$STATE_DIR/services/rabbitmq.epmd"
    start_process epmd epmd -address 127.0.0.1 -port "$epmd_port"
  fi
  mapfile -t variables < <(rabbitmq_environment "$(<"$STATE_DIR/services/rabbitmq.epmd")" "$(free_port 3)")
  printf '%s\n' "${variables[@]}" >"$STATE_DIR/services/rabbitmq.environment"
  # `detached` makes the script exec the broker, so that the id is the broker's own.
  start_process rabbitmq env -u NOTIFY_SOCKET -C / "${variables[@]}" detached=true "$bin/rabbitmq-server"
  rabbitmq_url "127.0.0.1:$port" "$secret" >"$STATE_DIR/services/rabbitmq.url"
}

rabbitmq_await() {
  local url
  url=$(<"$STATE_DIR/services/rabbitmq.url")
  await_process rabbitmq 120 rabbitmq_answers "$url"
}

# rabbitmq_answers URL: says the protocol's hello and takes the first byte of the answer (a method frame). The broker opens
# its port last of all.
rabbitmq_answers() {
  local address=${1##*@}
  address=${address%%/*}
  # shellcheck disable=SC2016 # expanded by the inner shell
  timeout 5 bash -c 'exec 3<>"/dev/tcp/$1/$2" && printf "AMQP\0\0\011\001" >&3 && [[ $(head -c1 <&3) == $'"'\001'"' ]]' \
    hello "${address%:*}" "${address##*:}" 2>/dev/null
}

rabbitmq_stop() {
  stop_process rabbitmq TERM 60
  stop_process epmd TERM 10
}

rabbitmq_wipe() { rm -rf "$STATE_DIR/rabbitmq" "$STATE_DIR"/services/rabbitmq.*; }

rabbitmq_launch_docker() {
  local name secret
  name=pillarbox-$(state_id)-rabbitmq
  secret=$(kept_secret "$STATE_DIR/services/rabbitmq.secret" 16)
  echo "$name" >"$STATE_DIR/services/rabbitmq.container"
  docker start "$name" >/dev/null 2>&1 \
    || docker run -d --name "$name" --hostname "$name" -p "127.0.0.1:$(free_port 1):5672" \
      -e RABBITMQ_DEFAULT_USER=pillarbox -e RABBITMQ_DEFAULT_PASS="$secret" "$RABBITMQ_IMAGE" >/dev/null
  rabbitmq_url "$(docker port "$name" 5672/tcp | head -n1)" "$secret" >"$STATE_DIR/services/rabbitmq.url"
}

rabbitmq_ready_docker() { rabbitmq_answers "$(<"$STATE_DIR/services/rabbitmq.url")"; }
