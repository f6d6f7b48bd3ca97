# Sourced by the scripts that test: prints units for tools/tally. A unit's command runs in a shell of its own.

# unit NAME COMMAND...
unit() {
  local name=$1
  shift
  printf '%s\t%s\n' "$name" "$*"
}

# check NAME COMMAND...: good if the command succeeds.
check() {
  local name=$1
  shift
  unit "$name" tools/check "$@"
}

# specs NAME INTERPRETER... SPEC: a file of the suite.
specs() {
  local name=$1
  shift
  unit "$name: $(basename "${!#}" _spec.lua)" "${@:1:$#-1}" -o support.tap "${!#}"
}

# busted_on LUA: what runs a file of the suite there. Debian's busted has no modules in C for Lua 5.5.
busted_on() {
  case $1 in
  lua5.5) echo "IOCP_BUSTED=$PWD/build/ports/lua5.5/lua5.4 lua5.5 spec/ports/busted.lua" ;;
  *) echo "busted --lua=$(command -v "$1")" ;;
  esac
}

# pending NAME REASON: what cannot be had here.
pending() {
  unit "$1" "printf '1..1\nok 1 - %s # SKIP %s\n' '$1' '$2'"
}

# c_tests NAME FOLDER [VARIABLE=VALUE...]: the programs written with cmocka in it.
c_tests() {
  local program
  for program in "$2"/*_test; do
    unit "$1: $(basename "$program" _test)" "${@:3}" CMOCKA_MESSAGE_OUTPUT=TAP "$program"
  done
}
