#!/usr/bin/env bash
# A snapshot of a Linux machine: who it is, who is on it, what runs, who it talks to, what starts by itself.
#
# usage: linux-triage.sh [--only SECTION,…] [--no-hash] [--seconds N] [--limit N] [--json]
#
#   --only SECTION,…  some of: host, users, processes, connections, autostarts (all)
#   --no-hash         no SHA-256 of the programs that run
#   --seconds N       hash for at most this long (120)
#   --limit N         at most so many lines a section (5000)
#   --json            one JSON object a line
#
# Changes nothing. Reads /proc itself, so that it needs bash and coreutils only, and a replaced `ps` or `ss` deceives nobody.
# Without root it sees less, and says what. A program is hashed as it runs, even when its file is gone.
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
sections=host,users,processes,connections,autostarts
only=$sections hashing=yes seconds=120 limit=5000 as_json=no
while (($#)); do
  case $1 in --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;; esac
  case $1 in
    -h | --help) usage; exit 0 ;;
    --no-hash) hashing=no ;;
    --json) as_json=yes ;;
    --only | --seconds | --limit)
      if (($# < 2)); then wrong "$1 needs a value"; fi
      case $1 in
        --only) only=$2 ;;
        --seconds) whole "$1" "$2" 1 3600; seconds=$2 ;;
        --limit) whole "$1" "$2" 1 1000000; limit=$2 ;;
      esac
      shift ;;
    *) wrong "unknown parameter \`$1\`" ;;
  esac
  shift
done
IFS=, read -r -a wanted <<<"$only"
if ((${#wanted[@]} == 0)); then wrong "--only takes some of: $sections"; fi
for one in "${wanted[@]}"; do
  case ,$sections, in
    *",$one,"*) ;;
    *) wrong "there is no section \`$one\`: --only takes some of: $sections" ;;
  esac
done
if [[ ! -r /proc/self/stat ]]; then echo 'this script is for Linux, with /proc mounted' >&2; exit 1; fi

section() {
  lines=0
  if [[ $as_json == no ]]; then printf '\n== %s\n' "$1"; fi
}

# True while the section has room for another line.
room() {
  lines=$((lines + 1))
  if ((lines == limit + 1)); then printf 'more than %d lines: the rest is left out, --limit allows more\n' "$limit" >&2; fi
  ((lines <= limit))
}

# REPLY becomes all of a file that may vanish or be refused; false then.
slurp() {
  REPLY=''
  { IFS= read -r -d '' REPLY <"$1" || [[ -n $REPLY ]]; } 2>/dev/null
}

declare -A users=()
while IFS=: read -r name _ uid _; do
  if [[ $uid =~ ^[0-9]+$ ]]; then users[$uid]=${users[$uid]:-$name}; fi
done </etc/passwd || :

boot=0
while read -r key value _; do
  if [[ $key == btime ]]; then boot=$value; fi
done </proc/stat || :
ticks=$(getconf CLK_TCK 2>/dev/null || echo 100)

host() {
  section host
  local os='' id='' up='' address='' name='' kernel='' now booted key value
  if [[ -r /etc/os-release ]]; then
    while IFS='=' read -r key value; do
      if [[ $key == PRETTY_NAME ]]; then value=${value#\"}; os=${value%\"}; fi
    done </etc/os-release
  fi
  if slurp /etc/machine-id; then id=${REPLY%%$'\n'*}; fi
  if slurp /proc/uptime; then up=${REPLY%%.*}; fi
  printf -v now '%(%Y-%m-%dT%H:%M:%SZ)T' -1
  printf -v booted '%(%Y-%m-%dT%H:%M:%SZ)T' "$boot"
  if slurp /proc/sys/kernel/hostname; then name=${REPLY%%$'\n'*}; fi
  if slurp /proc/version; then kernel=${REPLY%%$'\n'*}; fi
  emit host name "$name" os "$os" kernel "$kernel" machineId "$id" time "$now" booted "$booted" uptimeSeconds# "$up" \
    asUser "${users[$EUID]:-$EUID}"
  if have ip; then
    while read -r _ key _ address _; do
      if room; then emit address interface "$key" address "$address"; fi
    done < <(ip -o address show 2>/dev/null)
  fi
  if slurp /proc/sys/kernel/tainted && [[ ${REPLY%%$'\n'*} != 0 ]]; then emit kernel tainted "${REPLY%%$'\n'*}"; fi
}

users() {
  section users
  local name uid home shell note keys
  while IFS=: read -r name _ uid _ _ home shell; do
    case $shell in */nologin | */false | */sync | */shutdown | */halt) if [[ $uid != 0 ]]; then continue; fi ;; esac
    note='' keys=''
    if [[ $uid == 0 && $name != root ]]; then note='has the user id of root'; fi
    if [[ -r $home/.ssh/authorized_keys ]]; then keys=$home/.ssh/authorized_keys; fi
    if room; then emit account name "$name" uid "$uid" home "$home" shell "${shell:-/bin/sh}" authorizedKeys "$keys" note "$note"; fi
  done </etc/passwd || miss /etc/passwd
  if have who; then
    while IFS= read -r name; do
      if room; then emit session who "$name"; fi
    done < <(who -u 2>/dev/null || :)
  fi
}

# REPLY becomes the SHA-256 of the program of process $1, whose path is $2; each file is read once.
declare -A hashed_by=() hashes=()
hash_of() {
  local known=${hashed_by[$2]:-} sum
  REPLY=''
  if [[ -n $known && /proc/$1/exe -ef /proc/$known/exe ]]; then REPLY=${hashes[$2]}; return; fi
  if ((SECONDS >= seconds)); then late=yes; return; fi
  if sum=$(sha256sum 2>/dev/null <"/proc/$1/exe"); then
    REPLY=${sum%% *} hashed_by[$2]=$1 hashes[$2]=${sum%% *}
  elif [[ -e /proc/$1/exe ]]; then
    miss "/proc/$1/exe"
  fi
} 2>/dev/null

# REPLY becomes what is odd about process $1, whose program is $2.
notes_on() {
  local pid=$1 exe=$2 tracer=$3 found='' word
  case $exe in
    /memfd:*) found+='; runs from memory' ;;
    *' (deleted)') found+='; its file is gone or was replaced' ;;
  esac
  case $exe in /tmp/* | /var/tmp/* | /dev/shm/* | /run/user/*) found+='; runs from a folder that all may write to' ;; esac
  if [[ $tracer != 0 ]]; then found+="; is traced by $tracer"; fi
  while IFS= read -r -d '' word; do
    case $word in LD_PRELOAD=?* | LD_AUDIT=?*) found+="; $word" ;; esac
  done <"/proc/$pid/environ"
  REPLY=${found#; }
} 2>/dev/null

processes() {
  section processes
  if [[ $hashing == yes ]] && ! have sha256sum; then hashing=no; miss 'sha256sum (not installed)'; fi
  local dir pid stat fields exe hash command word started uid tracer memory comm key value note
  while IFS= read -r dir; do
    pid=${dir#/proc/} exe='' hash='' command='' started='' uid='' tracer=0 memory='' note=''
    if ! slurp "$dir/stat"; then continue; fi
    stat=$REPLY comm=${stat#*\(} comm=${comm%)*}
    read -r -a fields <<<"${stat##*) }"
    printf -v started '%(%Y-%m-%dT%H:%M:%SZ)T' "$((boot + fields[19] / ticks))"
    { while read -r key value; do
      case $key in
        Uid:) read -r _ uid _ <<<"$value" ;;
        TracerPid:) tracer=$value ;;
        VmSize:) memory=$value ;;
      esac
    done <"$dir/status"; } 2>/dev/null || :
    { while IFS= read -r -d '' word || [[ -n $word ]]; do
      if ((${#command} < 4096)); then command+="${command:+ }$word"; fi
      word=''
    done <"$dir/cmdline"; } 2>/dev/null || :
    # Kernel threads and the dead have no memory, and no program.
    if [[ -n $memory ]]; then
      if ! exe=$(readlink -- "$dir/exe" 2>/dev/null); then
        if [[ ! -e $dir/stat ]]; then continue; fi
        exe=''
        miss "$dir/exe"
      fi
      if [[ -n $exe && $hashing == yes ]]; then hash_of "$pid" "$exe"; hash=$REPLY; fi
      notes_on "$pid" "$exe" "$tracer" || :
      note=$REPLY
    fi
    if ! room; then break; fi
    emit process pid# "$pid" parent# "${fields[1]}" user "${users[$uid]:-$uid}" state "${fields[0]}" started "$started" name "$comm" \
      exe "$exe" sha256 "$hash" note "$note" command "$command"
  done < <(printf '%s\n' /proc/[0-9]* | if have sort; then sort -t/ -k3n; else while IFS= read -r dir; do echo "$dir"; done; fi)
  if [[ ${late:-no} == yes ]]; then printf 'hashing took longer than %d seconds: some programs have no SHA-256\n' "$seconds" >&2; fi
}

# REPLY becomes the address and port of `0100007F:0016`, as in /proc/net.
address() {
  local hex=${1%:*} port=$((16#${1##*:})) i j part full='' zeros=:0:0:0:0:0:0:0:0
  local -a bytes=()
  for ((i = 0; i < ${#hex}; i += 8)); do
    for ((j = 0; j < 4; j++)); do
      if [[ $little == yes ]]; then part=$((16#${hex:i+6-2*j:2})); else part=$((16#${hex:i+2*j:2})); fi
      bytes+=("$part")
    done
  done
  if ((${#bytes[@]} == 16)) && [[ "${bytes[*]:0:12}" == '0 0 0 0 0 0 0 0 0 0 255 255' ]]; then bytes=("${bytes[@]:12}"); fi
  if ((${#bytes[@]} == 4)); then REPLY=${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}:$port; return; fi
  for ((i = 0; i < 16; i += 2)); do
    printf -v part %x "$((bytes[i] << 8 | bytes[i + 1]))"
    full+=:$part
  done
  full+=:
  for ((i = 8; i > 1; i--)); do
    part=${zeros:0:2*i}:
    if [[ $full == *"$part"* ]]; then full=${full/"$part"/::}; break; fi
  done
  if [[ $full != ::* ]]; then full=${full#:}; fi
  if [[ $full != *:: ]]; then full=${full%:}; fi
  REPLY=[$full]:$port
}

connections() {
  section connections
  local -A owners=()
  local -a states=(- established syn-sent syn-recv fin-wait1 fin-wait2 time-wait close close-wait last-ack listen closing syn-recv)
  local dir link kind file here there state inode owner exe comm uid little=yes hidden=0
  if [[ $(printf '\1\0' | od -An -td2 2>/dev/null) == *256* ]]; then little=no; fi
  for dir in /proc/[0-9]*; do
    if [[ ! -r $dir/fd ]]; then
      if [[ -e $dir/fd ]]; then hidden=$((hidden + 1)); fi
      continue
    fi
    while IFS= read -r -d '' link; do
      case $link in
        'socket:['*']') link=${link#*[}; link=${link%]}; owners[$link]=${owners[$link]:-${dir#/proc/}} ;;
      esac
    done < <(readlink -z -- "$dir"/fd/* 2>/dev/null || :)
  done
  for kind in tcp tcp6 udp udp6; do
    file=/proc/net/$kind
    if [[ ! -e $file ]]; then continue; fi
    while read -r _ here there state _ _ _ uid _ inode _; do
      if [[ $here != *:* || $here == local* ]]; then continue; fi
      if ! room; then return 0; fi
      state=${states[16#$state]:-$state}
      # A datagram socket without a peer is one that waits.
      if [[ $kind == udp* && $state == close ]]; then state=open; fi
      owner=${owners[$inode]:-} exe='' comm=''
      if [[ -n $owner ]]; then
        exe=$(readlink -- "/proc/$owner/exe" 2>/dev/null || :)
        if slurp "/proc/$owner/comm"; then comm=${REPLY%$'\n'}; fi
      fi
      address "$here"; here=$REPLY
      address "$there"; there=$REPLY
      emit connection protocol "$kind" state "$state" local "$here" remote "$there" user "${users[$uid]:-$uid}" pid# "$owner" \
        name "$comm" exe "$exe"
    done <"$file" || miss "$file"
  done
  if ((hidden > 0)); then miss "open files of $hidden processes (they need root): their connections have no pid"; fi
}

autostarts() {
  section autostarts
  local path times written changed
  shopt -s nullglob
  local -a paths=(/etc/crontab /etc/cron.d/* /etc/cron.hourly/* /etc/cron.daily/* /etc/cron.weekly/* /etc/cron.monthly/*
    /var/spool/cron/* /var/spool/cron/crontabs/* /etc/systemd/system/* /etc/systemd/system/*.wants/* /etc/systemd/user/*
    /etc/init.d/* /etc/rc.local /etc/ld.so.preload /etc/profile.d/* /etc/xdg/autostart/*
    /root/.config/systemd/user/* /home/*/.config/systemd/user/* /root/.config/autostart/* /home/*/.config/autostart/*
    /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys)
  shopt -u nullglob
  for path in "${paths[@]}"; do
    if [[ -d $path && ! -L $path ]] || [[ ! -e $path && ! -L $path ]]; then continue; fi
    if ! times=$(stat -c '%Y %Z' -- "$path" 2>/dev/null); then miss "$path"; continue; fi
    if ! room; then return 0; fi
    read -r written changed <<<"$times"
    printf -v times '%(%Y-%m-%dT%H:%M:%SZ)T' "$((written > changed ? written : changed))"
    emit autostart changed "$times" path "$path" leadsTo "$(readlink -- "$path" 2>/dev/null || :)"
  done
}

lines=0
for one in "${wanted[@]}"; do
  case $one in
    host) host ;;
    users) users ;;
    processes) processes ;;
    connections) connections ;;
    autostarts) autostarts ;;
  esac
done
finish
