--- What bench/file measures: rows, each a workload of file.h and who takes turns at it; the first of a row is its
-- yardstick. `figure`: what is compared, `time` or `cpu`, us of an operation, the smaller the better. `asked`: how much
-- of the yardstick's at most; where `beside` says so, of another's than the first.
-- @module bench.file.plan

local function c(who, program, mode, asked)
  return { who = who, command = ("build/file/%s %%s %s"):format(program, mode or ""), asked = asked }
end

local function lua(who, interpreter, script, mode, asked)
  return { who = ("%s, %s"):format(who, interpreter == "luajit" and "LuaJIT" or "Lua 5.4"), lua = interpreter,
    command = ("bench/file/%s.lua %%s %s"):format(script, mode or ""), asked = asked }
end

-- An operation has `reads` reads. Of the terse output, version 3, the eighth field is reads a second, and the last two
-- here are the percentages of a processor outside the system and in it.
local function fio(who, reads, options)
  return { who = "fio, " .. who, command = ("fio --name=bench --filename=build/file/data --minimal --thread "
    .. "--gtod_reduce=1 --readonly --invalidate=0 %s | awk -F ';' '{ t = %d * 1e6 / $8; "
    .. "print \"time\", t, \"cpu\", t * ($88 + $89) / 100 }'"):format(options, reads) }
end

local function dd(who, options)
  return { who = "dd, " .. who, command = "LC_ALL=C dd if=build/file/data of=/dev/null bs=256K " .. options
    .. " 2>&1 | awk '/copied/ { print \"time\", 1e6 * $8 }'" }
end

local NO_RING = "IOCP_NO_URING=1 "

local function without_ring(contender)
  contender.who, contender.command = contender.who .. ", threads", NO_RING .. contender.command
  return contender
end

local IN_MEMORY = "--rw=read --bs=4K --size=4M --io_size=800M --ioengine=psync"
local RANDOM = "--rw=randread --bs=4K --number_ios=2048 --norandommap --randrepeat=0 --direct=1 --ioengine=io_uring "
  .. "--iodepth=32"
local DEVICE = "--rw=read --bs=256K --direct=1 --ioengine=io_uring --iodepth=4"

return {
  { title = "a read of 4 KiB from memory", workload = "cached", figure = "cpu",
    c("C, pread", "pread"), c("C, preadv2(RWF_NOWAIT)", "pread", "nowait"), c("iocp, C", "iocp", nil, 1.15),
    lua("iocp", "luajit", "file", nil, 1.5), lua("iocp", "lua5.4", "file"), c("iocp, C, by packet", "iocp", "packet"),
    lua("iocp, by packet", "luajit", "file", "packet"), lua("iocp, by packet", "lua5.4", "file", "packet"),
    lua("luv, waiting", "luajit", "luv", "wait"), lua("luv", "luajit", "luv"), fio("psync", 1, IN_MEMORY) },
  { title = "32 reads of 4 KiB from anywhere on the device", workload = "random", figure = "time",
    c("C, pread, in turn", "pread"), c("iocp, C, 32 in flight", "iocp", nil, 0.35),
    lua("iocp, 32 in flight", "luajit", "file", nil, 0.35), without_ring(c("iocp, C", "iocp")),
    fio("io_uring, 32 in flight", 32, RANDOM) },
  { title = "a file of 16 KiB, of 1,000 in memory", workload = "files", figure = "time",
    lua("luv", "luajit", "luv"), lua("iocp", "luajit", "file", nil, 0.5), lua("iocp", "lua5.4", "file", nil, 0.5),
    c("iocp, C", "iocp"), lua("luv, waiting", "luajit", "luv", "wait"), c("C, open, pread, close", "pread") },
  { title = "1 GiB from the device", workload = "device", figure = "time",
    dd("O_DIRECT", "iflag=direct"), c("iocp, C, 4 in flight", "iocp", nil, 1.11),
    lua("iocp, 4 in flight", "luajit", "file", nil, 1.11), without_ring(c("iocp, C, 4 in flight", "iocp")),
    fio("io_uring, 4 in flight", 4096, DEVICE) },
  { title = "1 GiB from memory", workload = "memory", figure = "cpu",
    c("C, pread", "pread"), c("iocp, C, 4 in flight", "iocp", nil, 1.15),
    lua("iocp, 4 in flight", "luajit", "file", nil, 1.15), lua("iocp, 4 in flight", "lua5.4", "file") },
}
