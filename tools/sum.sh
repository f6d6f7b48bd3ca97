# Sourced by the scripts that run tests: runs them, shows what fails, and adds up.
passed=0
failed=0
pending=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# add NAME PASSED FAILED [PENDING]: counts, and prints a line; on failure, or when nothing ran, the log too.
add() {
  local bad=$3 open=${4:-0}
  [ "$2" -gt 0 ] || [ "$bad" -gt 0 ] || [ "$open" -gt 0 ] || bad=1
  passed=$((passed + $2))
  failed=$((failed + bad))
  pending=$((pending + open))
  [ "$bad" -eq 0 ] || cat "$log"
  printf '%-44s %5d passed, %d failed' "$1" "$2" "$bad"
  [ "$open" -eq 0 ] || printf ', %d pending' "$open"
  echo
}

# run_specs NAME COMMAND...: the spec suite, or a file of it, with busted. SPEC_SECONDS: how long it may take; MAY_BE_EMPTY=1:
# a file may define nothing on this Lua. Sets `exit_code`: 124 or more, it hung and was killed, or crashed.
run_specs() {
  local name=$1 line
  shift
  timeout -k 5 "${SPEC_SECONDS:-3000}" "$@" >"$log" 2>&1 </dev/null
  exit_code=$?
  sed -i 's/\r$//' "$log" # Windows
  line=$(grep -E '^[0-9]+ success(es)? / [0-9]+ failures? / [0-9]+ errors? / [0-9]+ pending' "$log" | tail -n 1)
  if [ -z "$line" ]; then
    echo "busted gave no result; exit code $exit_code (124 says that it hung)" >>"$log"
    add "$name" 0 1
    return
  fi
  set -- $(printf '%s' "$line" | tr -c '0-9\n' ' ')
  grep -A2 '^Pending -> [^ ]*_spec.lua' "$log" # those of the table end the run
  grep '^random input: seed' "$log"
  [ -z "${MAY_BE_EMPTY:-}" ] || [ "$exit_code:$1$2$3$4" != 0:0000 ] || return
  add "$name" "$1" $(($2 + $3 + (exit_code != 0 && $2 + $3 == 0))) "$4"
}

# run_c_tests NAME FOLDER: every *_test program in it, written with cmocka.
run_c_tests() {
  local program good bad status
  for program in "$2"/*_test; do
    timeout 900 "$program" >"$log" 2>&1 </dev/null
    status=$?
    good=$(grep -c '^\[ *OK *\]' "$log")
    bad=$(grep -c '^\[ *FAILED *\] [a-z_]*$' "$log")
    [ $status -eq 0 ] || [ "$bad" -gt 0 ] || { echo "exit code $status" >>"$log"; bad=1; }
    add "$1: $(basename "$program")" "$good" "$bad"
  done
}

# run_check NAME COMMAND...: one check, good if the command succeeds.
run_check() {
  local name=$1
  shift
  if ("$@") >"$log" 2>&1 </dev/null; then add "$name" 1 0; else add "$name" 0 1; fi
}

finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}

finish_with_pending() {
  echo "$passed passed, $failed failed, $pending pending"
  [ "$failed" -eq 0 ]
}
