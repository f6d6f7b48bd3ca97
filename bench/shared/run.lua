-- Measures what threads share, ours beside others, in interleaved rounds, and prints a table; with PAGE in the
-- environment it also writes doc/bench-shared.md. ONLY, ROUNDS: see bench/rounds.lua.
-- usage: make bench-shared [ONLY=an add] [ROUNDS=5] [PAGE=1]
package.path = "bench/?.lua;" .. package.path
local rounds = require "rounds"

local function run(row, contender)
  return rounds.run(row, contender, function(command) return command .. " 2>/dev/null" end)
end

local HEADER = { "operation", "by", "ns, as medians (least-greatest)", "beside the first", "asked", "CPU ns" }
local FORMAT = "%-50s %-28s %-32s %-20s %-8s %8s"

local EXPLAINED = [[
Medians (least-greatest) of %d rounds in which those of a row take turns, after one to warm up. Nanoseconds of one
operation: elapsed time by the operations of all threads, so with two threads half of what each of them took; or *of
CPU*, what all threads used, which others who use the machine disturb less. A smaller ratio is better; each is of two
measurements of the same round.

`bench/shared/shared.lua` has the workloads over the module, `shared.c` the same in C, and `others.lua` the gets by
effil and lanes, which `bench/shared/prepare` fetches and builds. The matrices' rows are `pool:parallel_for`'s; the work
in C is done by one thread.]]

rounds.report {
  rows = require "shared.plan", run = run, header = HEADER, format = FORMAT, line_of = rounds.line_of,
  explained = EXPLAINED, page = "doc/bench-shared.md", page_title = "What threads share: the benchmark's last run",
  target = "bench-shared",
}
