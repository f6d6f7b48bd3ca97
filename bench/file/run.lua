-- Measures reads of files, ours beside others, in interleaved rounds, and prints a table; with PAGE in the environment
-- it also writes doc/bench-file.md. ONLY, ROUNDS: see bench/rounds.lua.
-- usage: make bench-file [ONLY=32,1] [ROUNDS=5] [PAGE=1]
package.path = "bench/?.lua;" .. package.path
local rounds = require "rounds"

local function run(row, contender)
  return rounds.run(row, contender, function(command) return (command:gsub("%%s", row.workload)) end)
end

local HEADER = { "workload", "by", "us, as medians (least-greatest)", "beside the first", "asked", "CPU us" }
local FORMAT = "%-46s %-32s %-32s %-18s %-8s %8s"

local EXPLAINED = [[
Medians (least-greatest) of %d rounds in which those of a row take turns, after one to warm up. A smaller ratio is
better; each is of two measurements of the same round. All of it runs in one thread of the caller's; CPU is what the
process used in all of its threads, for one operation.

`bench/file/pread.c` has the calls that wait; `iocp.c` does the same over `iocp.h`, `file.lua` in Lua. What is in memory
is read with `false`, which sends no packet for what is done at once, or *by packet*. What a read through the port has
to begin with is `preadv2(RWF_NOWAIT)`, since `pread` would wait for what is not in memory: what that costs beside
`pread` stands in a line of its own. *From the device*: opened with `O_DIRECT`, past the system's memory. *Threads*:
with `IOCP_NO_URING=1`. 64 files are under way in luv, or it *waits* for each call.]]

assert(os.execute("build/file/pread prepare >/dev/null"))
rounds.report {
  rows = require "file.plan", run = run, header = HEADER, format = FORMAT, line_of = rounds.line_of,
  explained = EXPLAINED,
  page = "doc/bench-file.md", page_title = "Files: the benchmark's last run", target = "bench-file",
}
os.execute("rm -r build/file/data build/file/small")
