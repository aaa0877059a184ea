#!/usr/bin/env bash
# What starts by itself on a Linux machine: systemd units and timers, cron, at, boot scripts, shell start-up files, the
# loader's preloads, SSH keys, udev rules, PAM programs, sudo without password, desktop autostarts, hooks of apt and others.
#
# usage: linux-persistence.sh [--changed-within DAYS] [--vendor] [--root DIR] [--limit N] [--json]
#
#   --changed-within DAYS  only what was written, or had its owner, mode or name changed, in so many days
#   --vendor               also systemd units that packages bring (/usr/lib/systemd), enabled or not
#   --root DIR             the system is below DIR: a mounted disk image (/)
#   --limit N              at most so many lines (20000)
#   --json                 one JSON object a line
#
# Changes nothing, and asks no service: it reads the files, so it needs bash and coreutils only. Without root it sees less,
# and says what. `changed` is the later of the times of writing and of change; the second is hard to forge.
# Exit code: 0 done, 1 something could not be read, 2 wrong usage.
set -euo pipefail
umask 077
export LC_ALL=C TZ=UTC0

# Prints the comment at the top of this file.
usage() {
  local line
  while IFS= read -r line; do
    case $line in
      '#!'*) ;;
      '#'*) line=${line#\#}; printf '%s\n' "${line# }" ;;
      *) break ;;
    esac
  done <"$0"
}

wrong() { printf '%s; --help tells more\n' "$1" >&2; exit 2; }

have() { command -v "$1" >/dev/null 2>&1; }

# What could not be read makes the exit code 1; the first 20 are said.
missed=0
miss() {
  missed=$((missed + 1))
  if ((missed > 20)); then return; fi
  if [[ $1 == *[[:cntrl:]]* ]]; then printf 'could not read: %q\n' "$1" >&2; else printf 'could not read: %s\n' "$1" >&2; fi
}
finish() {
  if ((missed > 20)); then printf '%d things could not be read, of which 20 are named\n' "$missed" >&2; fi
  exit $((missed > 0))
}

# A whole number from $3 to $4, or the end.
whole() {
  if [[ ! $2 =~ ^(0|[1-9][0-9]{0,8})$ ]] || (($2 < $3 || $2 > $4)); then
    wrong "$1 takes a whole number from $3 to $4"
  fi
}
# REPLY becomes $1 as a JSON string. Bytes that are not UTF-8 become U+FFFD.
json() {
  local s=$1 out='' c n m i j need point
  if [[ $s != *[!\ -~]* && $s != *[\"\\]* ]]; then REPLY=\"$s\"; return; fi
  for ((i = 0; i < ${#s}; i++)); do
    c=${s:i:1}
    case $c in
      [\"\\]) out+=\\$c; continue ;;
      [\ -~]) out+=$c; continue ;;
    esac
    printf -v n %d "'$c"
    n=$((n & 255)) need=0 point=0
    if ((n < 128)); then printf -v c '\\u%04x' "$n"; out+=$c; continue; fi
    if ((n >= 194 && n < 224)); then need=1 point=$((n & 31))
    elif ((n >= 224 && n < 240)); then need=2 point=$((n & 15))
    elif ((n >= 240 && n < 245)); then need=3 point=$((n & 7)); fi
    for ((j = 1; j <= need; j++)); do
      m=0
      if ((i + j < ${#s})); then printf -v m %d "'${s:i+j:1}"; fi
      if (((m & 192) != 128)); then break; fi
      point=$((point << 6 | m & 63))
    done
    if ((need == 0 || j <= need || (need == 2 && (point < 2048 || (point >= 55296 && point < 57344))) \
      || (need == 3 && (point < 65536 || point > 1114111)))); then
      out+='\ufffd'
    else
      out+=${s:i:need+1}
      i=$((i + need))
    fi
  done
  REPLY=\"$out\"
}

# One thing found: emit KIND KEY VALUE KEY VALUE…, where a KEY that ends in # has a number. A line of JSON, or of KEY=VALUE
# without the empty ones, quoted as a shell would where they have control characters.
emit() {
  local out key
  if [[ $as_json == yes ]]; then
    out="{\"kind\":\"$1\""
  else
    out=$1
  fi
  shift
  while (($# > 1)); do
    key=${1%#}
    if [[ $as_json == yes ]]; then
      if [[ $1 == *'#' ]]; then REPLY=${2:-null}; elif [[ -z $2 ]]; then REPLY=null; else json "$2"; fi
      out+=",\"$key\":$REPLY"
    elif [[ -n $2 ]]; then
      REPLY=$2
      if [[ $2 == *[[:cntrl:]]* ]]; then printf -v REPLY %q "$2"; fi
      out+="  $key=$REPLY"
    fi
    shift 2
  done
  if [[ $as_json == yes ]]; then out+='}'; fi
  printf '%s\n' "$out"
}
days='' vendor=no root='' limit=20000 as_json=no
while (($#)); do
  case $1 in --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;; esac
  case $1 in
    -h | --help) usage; exit 0 ;;
    --vendor) vendor=yes ;;
    --json) as_json=yes ;;
    --changed-within | --root | --limit)
      if (($# < 2)); then wrong "$1 needs a value"; fi
      case $1 in
        --changed-within) whole "$1" "$2" 1 36500; days=$2 ;;
        --root) if [[ ! -d $2 ]]; then wrong "--root takes a folder that is there"; fi; root=${2%/} ;;
        --limit) whole "$1" "$2" 1 10000000; limit=$2 ;;
      esac
      shift ;;
    *) wrong "unknown parameter \`$1\`" ;;
  esac
  shift
done
if ! have stat; then echo 'this script needs stat, of coreutils' >&2; exit 1; fi
if [[ -n $root && $root != /* ]]; then root=$PWD/$root; fi

printf -v now '%(%s)T' -1
since=0
if [[ -n $days ]]; then since=$((now - days * 86400)); fi

# Says one thing about the file of `look`, unless the limit is reached.
lines=0
say() {
  lines=$((lines + 1))
  if ((lines > limit)); then
    printf 'more than %d lines: the rest is left out, --limit allows more\n' "$limit" >&2
    finish
  fi
  emit "$1" path "${path#"$root"}" changed "$changed" owner "$owner" mode "$mode" leadsTo "$leads" what "${2:0:1000}"
}

# True when $1 is a file that counts; path, changed, owner, mode and leads then tell about it.
look() {
  local written times
  path=$1 leads=''
  if [[ ! -e $path && ! -L $path ]] || [[ -d $path ]]; then return 1; fi
  if ! times=$(stat -c '%Y %Z %a %u %U' -- "$path" 2>/dev/null); then miss "$path"; return 1; fi
  read -r written changed mode uid owner <<<"$times"
  if ((written > changed)); then changed=$written; fi
  if [[ $owner == UNKNOWN || -n $root ]]; then owner=$uid; fi
  if [[ -L $path ]]; then leads=$(readlink -- "$path" 2>/dev/null || :); fi
  if ((changed < since)); then return 1; fi
  printf -v changed '%(%Y-%m-%dT%H:%M:%SZ)T' "$changed"
}

# The file to read for $path: what a link leads to, inside of the root.
reading() {
  REPLY=$path
  if [[ -n $root && $leads == /* ]]; then REPLY=$root$leads; fi
}

# Files as such: kind FILE…
files() {
  local kind=$1
  shift
  for one in "$@"; do
    if look "$one"; then say "$kind" ''; fi
  done
}

# Lines of files that match a pattern and are no comments, at most 500 of each: texts KIND PATTERN FILE…
texts() {
  local kind=$1 pattern=$2 line count
  shift 2
  for one in "$@"; do
    if ! look "$one"; then continue; fi
    reading
    if [[ ! -e $REPLY ]]; then say "$kind" ''; continue; fi
    if [[ ! -f $REPLY ]]; then say "$kind" ''; continue; fi
    if [[ ! -r $REPLY ]]; then miss "$path"; continue; fi
    count=0
    while IFS= read -r line || [[ -n $line ]]; do
      line=${line#"${line%%[![:space:]]*}"}
      if [[ -z $line || $line == [\#\;]* || ! $line =~ $pattern ]]; then continue; fi
      count=$((count + 1))
      if ((count > 500)); then printf 'more than 500 lines in %q: the rest is left out\n' "$path" >&2; break; fi
      say "$kind" "$line"
    done <"$REPLY"
  done
}

# Units with what they run and when, a line each; a link that enables one with what it leads to.
units() {
  local line what
  for one in "$@"; do
    if ! look "$one"; then continue; fi
    reading
    what=''
    if [[ -f $REPLY && -r $REPLY ]]; then
      while IFS= read -r line || [[ -n $line ]]; do
        if [[ $line =~ ^(Exec[A-Za-z]*|On[A-Za-z]+|Listen[A-Za-z]+|Path[A-Z][A-Za-z]*|DirectoryNotEmpty|User|Environment|EnvironmentFile)= ]]; then
          what+="${what:+; }$line"
        fi
      done <"$REPLY"
    elif [[ -e $REPLY && ! -r $REPLY ]]; then
      miss "$path"
    fi
    say systemd "$what"
  done
}

shopt -s nullglob
declare -a homes=("$root/root")
while IFS=: read -r _ _ _ _ _ home _; do
  if [[ $home == /?* && -d $root$home && " ${homes[*]} " != *" $root$home "* ]]; then homes+=("$root$home"); fi
done 2>/dev/null <"$root/etc/passwd" || miss "$root/etc/passwd"

declare -a folders=("$root"/etc/systemd/{system,user} "$root"/run/systemd/{system,user} "$root"/usr/local/lib/systemd/{system,user})
if [[ $vendor == yes ]]; then folders+=("$root"/{usr/,}lib/systemd/{system,user}); fi
for home in "${homes[@]}"; do
  folders+=("$home/.config/systemd/user" "$home/.local/share/systemd/user")
  if [[ -d $home && ! -x $home ]]; then miss "$home"; fi
done
declare -A seen=()
for folder in "${folders[@]}"; do
  # /lib may be a link to /usr/lib.
  real=$(readlink -f -- "$folder" 2>/dev/null || :)
  if [[ -z $real || -n ${seen[$real]:-} ]]; then continue; fi
  seen[$real]=yes
  units "$folder"/*.{service,timer,socket,path,mount,automount} "$folder"/*.{wants,requires,upholds}/* "$folder"/*.d/*.conf
done
files systemd-generator "$root"/{etc,run,usr/local/lib}/systemd/{system-generators,user-generators,system-environment-generators}/* \
  "$root"/etc/systemd/{system-sleep,system-shutdown}/*

for folder in "$root"/var/spool/{cron,cron/crontabs,at,cron/atjobs}; do
  if [[ -d $folder && ! -r $folder ]]; then miss "$folder"; fi
done
texts cron . "$root"/etc/crontab "$root"/etc/anacrontab "$root"/etc/cron.d/* "$root"/var/spool/cron/* "$root"/var/spool/cron/crontabs/*
files cron "$root"/etc/cron.{hourly,daily,weekly,monthly}/*
files at "$root"/var/spool/at/* "$root"/var/spool/cron/atjobs/*
texts boot . "$root"/etc/rc.local "$root"/etc/rc.d/rc.local "$root"/etc/inittab "$root"/etc/modules "$root"/etc/modules-load.d/*
files boot "$root"/etc/init.d/* "$root"/etc/local.d/*
texts preload . "$root"/etc/ld.so.preload
texts loader . "$root"/etc/ld.so.conf "$root"/etc/ld.so.conf.d/*
texts environment . "$root"/etc/environment "$root"/etc/environment.d/*
files shell "$root"/etc/{profile,bash.bashrc,bashrc,zshenv,zshrc,zprofile,csh.cshrc} "$root"/etc/zsh/* "$root"/etc/profile.d/*
texts desktop '^(Try)?Exec=' "$root"/etc/xdg/autostart/*.desktop
texts udev '(RUN|PROGRAM|IMPORT\{program\})[+:]?=' "$root"/etc/udev/rules.d/*
texts pam 'pam_(exec|script|python)' "$root"/etc/pam.d/*
texts sudo '(NOPASSWD|!authenticate|env_keep.*LD_)' "$root"/etc/sudoers "$root"/etc/sudoers.d/*
texts ssh-server '^(AuthorizedKeysCommand|AuthorizedKeysFile|ForceCommand|PermitRootLogin|TrustedUserCAKeys)' \
  "$root"/etc/ssh/sshd_config "$root"/etc/ssh/sshd_config.d/*
texts packages '(Pre|Post)-Invoke|pre-install-pkgs|Post-Invoke-Success' "$root"/etc/apt/apt.conf "$root"/etc/apt/apt.conf.d/*
files hook "$root"/etc/update-motd.d/* "$root"/etc/NetworkManager/dispatcher.d/* "$root"/etc/network/if-*.d/* "$root"/etc/dhcp/*-hooks.d/*
texts modprobe '^install' "$root"/etc/modprobe.d/*
for home in "${homes[@]}"; do
  texts ssh-key . "$home"/.ssh/authorized_keys "$home"/.ssh/authorized_keys2
  files ssh-rc "$home"/.ssh/{rc,environment}
  files shell "$home"/.{profile,bashrc,bash_profile,bash_login,bash_logout,bash_aliases,zshenv,zshrc,zprofile,zlogin,zlogout,xprofile,xinitrc,xsessionrc} \
    "$home"/.config/fish/config.fish
  texts desktop '^(Try)?Exec=' "$home"/.config/autostart/*.desktop
done
finish
