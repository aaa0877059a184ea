#!/usr/bin/env bash
# Everything about one process of a Linux machine, in an archive that GetFile fetches: command line, program (also when its
# file is gone), memory map, open files, environment, limits, namespaces, connections, parents and children; its memory if asked.
#
# usage: linux-process.sh --pid N [--environment-values] [--memory] [--max-mb N] [--freeze]
#
#   --pid N               the process
#   --environment-values  the environment with its values, which may be secrets (names only)
#   --memory              also the memory that it can write to: heap, stacks, anonymous and private maps
#   --max-mb N            at most so much memory (512), and so large a program
#   --freeze              stop the process meanwhile (SIGSTOP), and let it go on when done (SIGCONT): the only thing that this
#                         script changes; a process that is stopped already stays so
#
# Writes process-HOST-PID-TIME.tar.gz into $JUMPBAG_FILES (else the working folder). Needs bash, coreutils, tar and gzip; root,
# or the process's own user.
# Exit code: 0 done, 1 something could not be read or written, or there is no such process; 2 wrong usage.
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
# A folder for what is gathered, beside where the archive will be; it goes when the script ends.
stage() {
  files=${JUMPBAG_FILES:-$PWD}
  if [[ ! -d $files || ! -w $files ]]; then printf 'cannot write into %q\n' "$files" >&2; exit 1; fi
  host=$(uname -n 2>/dev/null || echo host)
  host=${host//[^A-Za-z0-9.-]/_}
  stage=$(mktemp -d "$files/.gathering.XXXXXXXX")
  trap 'rm -rf -- "$stage"' EXIT
  trap 'exit 1' HUP INT TERM
}

# Makes the archive $1 in $JUMPBAG_FILES of what was gathered, and says what it is.
archive() {
  local target=$files/$1 sum
  if [[ -e $target || -L $target ]]; then printf 'there is a file %q already\n' "$target" >&2; exit 1; fi
  if [[ ! -e $stage/all.tar ]]; then tar -C "$stage/out" -cf "$stage/all.tar" .; fi
  gzip "$stage/all.tar"
  sum=$(sha256sum <"$stage/all.tar.gz" 2>/dev/null) || sum=unknown
  mv -- "$stage/all.tar.gz" "$target"
  printf 'archive: %s\nsize: %s\nsha256: %s\n' "$1" "$(stat -c %s -- "$target")" "${sum%% *}"
}
pid='' values=no memory=no max=512 freeze=no
while (($#)); do
  case $1 in --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;; esac
  case $1 in
    -h | --help) usage; exit 0 ;;
    --environment-values) values=yes ;;
    --memory) memory=yes ;;
    --freeze) freeze=yes ;;
    --pid | --max-mb)
      if (($# < 2)); then wrong "$1 needs a value"; fi
      case $1 in
        --pid) whole "$1" "$2" 1 4194304; pid=$2 ;;
        --max-mb) whole "$1" "$2" 1 1048576; max=$2 ;;
      esac
      shift ;;
    *) wrong "unknown parameter \`$1\`" ;;
  esac
  shift
done
if [[ -z $pid ]]; then wrong '--pid says which process'; fi
for tool in tar gzip mktemp stat dd; do
  if ! have "$tool"; then echo "this script needs \`$tool\`, which is not here" >&2; exit 1; fi
done
proc=/proc/$pid
if [[ ! -r $proc/stat ]]; then printf 'there is no process %d\n' "$pid" >&2; exit 1; fi
if [[ $pid == "$$" || $pid == "$PPID" ]] && [[ $freeze == yes ]]; then wrong '--freeze would stop this script itself'; fi
stage
mkdir "$stage/out"
out=$stage/out

state() {
  local stat
  IFS= read -r -d '' stat <"$1/stat" || [[ -n $stat ]] || return 1
  stat=${stat##*) }
  printf '%s' "${stat%% *}"
}
# The start time tells a process from another that gets its number later.
started() {
  local stat fields
  { IFS= read -r -d '' stat <"$proc/stat" || [[ -n $stat ]]; } 2>/dev/null || return 1
  read -r -a fields <<<"${stat##*) }"
  printf '%s' "${fields[19]}"
}
birth=$(started) || { printf 'process %d has ended\n' "$pid" >&2; exit 1; }

if [[ $freeze == yes && $(state "$proc") != [Tt] ]]; then
  trap '[[ $(started) != "$birth" ]] || kill -CONT "$pid" 2>/dev/null; rm -rf -- "$stage"' EXIT
  if ! kill -STOP "$pid" 2>/dev/null; then miss "process $pid: it cannot be stopped"; fi
fi

# Content of /proc is made while it is read: it has no size, and `cat` is what takes it.
for name in status stat statm maps smaps limits mountinfo cgroup sched wchan stack syscall oom_score loginuid auxv io comm; do
  if [[ ! -e $proc/$name ]]; then continue; fi
  if ! cat "$proc/$name" >"$out/$name" 2>/dev/null; then
    rm -f "$out/$name"
    case $name in
      # Not of every kernel, and none of them is worth an error.
      stack | syscall | auxv | io | sched | wchan) ;;
      *) miss "$proc/$name" ;;
    esac
  fi
done
for name in tcp tcp6 udp udp6 unix; do
  cat "$proc/net/$name" >"$out/net-$name" 2>/dev/null || rm -f "$out/net-$name"
done
while IFS= read -r -d '' word || [[ -n $word ]]; do
  printf '%q\n' "$word"
  word=''
done 2>/dev/null <"$proc/cmdline" >"$out/cmdline" || miss "$proc/cmdline"
while IFS= read -r -d '' word || [[ -n $word ]]; do
  if [[ $values == no ]]; then word=${word%%=*}; fi
  printf '%q\n' "$word"
  word=''
done 2>/dev/null <"$proc/environ" >"$out/environment" || { rm -f "$out/environment"; miss "$proc/environ"; }

{
  for name in exe cwd root ns/mnt ns/net ns/pid ns/user; do
    if link=$(readlink -- "$proc/$name" 2>/dev/null); then printf '%s -> %q\n' "$name" "$link"; fi
  done
} >"$out/links"
if [[ -r $proc/fd ]]; then
  for fd in "$proc"/fd/*; do
    link=$(readlink -- "$fd" 2>/dev/null) || continue
    info=''
    while IFS= read -r line; do
      case $line in pos:* | flags:*) info+=" ${line//$'\t'/}" ;; esac
    done 2>/dev/null <"$proc/fdinfo/${fd##*/}" || :
    printf '%s -> %q%s\n' "${fd##*/}" "$link" "$info"
  done >"$out/open-files"
else
  miss "$proc/fd"
fi

# Parents up to the first process, and children.
name_of() {
  local comm=''
  IFS= read -r comm 2>/dev/null <"/proc/$1/comm" || :
  printf '%s %q %q\n' "$1" "$comm" "$(readlink -- "/proc/$1/exe" 2>/dev/null || :)"
}
parent_of() {
  local key value
  while read -r key value; do
    if [[ $key == PPid: ]]; then printf '%s' "$value"; fi
  done 2>/dev/null <"/proc/$1/status" || :
}
{
  echo 'parents:'
  one=$pid
  for _ in {1..64}; do
    one=$(parent_of "$one")
    if [[ -z $one || $one == 0 ]]; then break; fi
    name_of "$one"
  done
  echo 'children:'
  for dir in /proc/[0-9]*; do
    if [[ $(parent_of "${dir#/proc/}") == "$pid" ]]; then name_of "${dir#/proc/}"; fi
  done
} >"$out/family"

exe=$(readlink -- "$proc/exe" 2>/dev/null || :)
if [[ -n $exe ]]; then
  if size=$(stat -L -c %s -- "$proc/exe" 2>/dev/null) && ((size > max * 1048576)); then
    miss "$proc/exe: larger than --max-mb"
  elif cat "$proc/exe" >"$out/program" 2>/dev/null; then
    sum=$(sha256sum <"$out/program" 2>/dev/null) || sum=unknown
    printf 'program: %q\nprogram sha256: %s\n' "$exe" "${sum%% *}" | tee "$out/program.txt"
  else
    rm -f "$out/program"
    miss "$proc/exe"
  fi
fi

dump() {
  local range rights rest from to left=$((max * 1048576)) size got failed=0
  mkdir "$out/memory"
  while read -r range rights _ _ _ rest; do
    if [[ $rights != rw* || $rest == '[vvar'* ]]; then continue; fi
    from=$((16#${range%-*})) to=$((16#${range#*-}))
    size=$((to - from))
    if ((size > left)); then miss "memory $range: --max-mb is reached"; continue; fi
    # Pages that were never there read as an error; what is there before them is kept.
    dd if="$proc/mem" of="$out/memory/$range" bs=4096 skip=$((from / 4096)) count=$((size / 4096)) conv=sparse 2>/dev/null \
      || failed=$((failed + 1))
    got=$(stat -c %s -- "$out/memory/$range" 2>/dev/null || echo 0)
    if ((got == 0)); then rm -f "$out/memory/$range"; fi
    left=$((left - got))
  done <"$proc/maps" || miss "$proc/maps"
  if ((failed > 0)); then miss "$failed areas of memory, wholly or in part"; fi
}
if [[ $memory == yes ]]; then dump; fi
if [[ $(started || :) != "$birth" ]]; then miss "process $pid: it ended meanwhile"; fi

printf -v stamp '%(%Y%m%dT%H%M%SZ)T' -1
archive "process-$host-$pid-$stamp.tar.gz"
finish
