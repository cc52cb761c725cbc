# shellcheck shell=bash
# Debian packages, when this is a Debian and we may install.

as_root() { if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi; }

can_install() {
  command -v apt-get >/dev/null && { ((EUID == 0)) || sudo -n true 2>/dev/null; }
}

# install_packages NAME...
install_packages() {
  local log=$STATE_DIR/logs/packages.log
  say "installing with apt: $* (log: $log)"
  as_root "$ROOT/scripts/lib/install-packages" "$@" >>"$log" 2>&1 </dev/null || {
    tail -n 15 "$log" >&2
    return 1
  }
}

# ensure_build_tools: what cargo needs beside Rust: a C compiler and libpq with its pg_config.
ensure_build_tools() {
  local missing=()
  command -v cargo >/dev/null || fail "cargo is not on the PATH: install Rust first (https://rustup.rs)"
  command -v cc >/dev/null || missing+=(gcc libc6-dev)
  command -v make >/dev/null || missing+=(make)
  # postgresql-common brings a pg_config too, but not the library.
  [[ -e $(pg_config --libdir 2>/dev/null)/libpq.so ]] || missing+=(libpq-dev)
  ((${#missing[@]})) || return 0
  can_install || fail "missing to build: ${missing[*]}; install them, or run this as root or with passwordless sudo on Debian"
  install_packages "${missing[@]}" || fail "apt could not install ${missing[*]}"
}
